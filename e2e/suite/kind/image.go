package kind

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/scripts/image"
)

// registry is the host part of the images' names. It does not exist, so nothing is ever pulled.
const registry = "kind.local"

// Image is a container image in an archive that kind can load.
type Image struct {
	Name    string
	Tag     string // a hash of the content: the same programs have the same tag
	Archive string
}

// Repository returns the image's name without its tag.
func (i Image) Repository() string { return registry + "/" + i.Name }

// Ref returns the reference for pods.
func (i Image) Ref() string { return i.Repository() + ":" + i.Tag }

// Names of the images that are not components of the stack.
const (
	addonImage = "pac-lease-queue"
	stepImage  = "step"
)

// koImages are the images by the references that stand in their place in manifests for ko.
var koImages = map[string]build.Component{
	"ko://github.com/tektoncd/pipeline/cmd/controller":                                       build.TektonController,
	"ko://github.com/tektoncd/pipeline/cmd/webhook":                                          build.TektonWebhook,
	"ko://github.com/tektoncd/pipeline/cmd/entrypoint":                                       build.TektonEntrypoint,
	"ko://github.com/tektoncd/pipeline/cmd/nop":                                              build.TektonNop,
	"ko://github.com/tektoncd/pipeline/cmd/workingdirinit":                                   build.TektonWorkingDirInit,
	"ko://github.com/openshift-pipelines/pipelines-as-code/cmd/pipelines-as-code-controller": build.PACController,
	"ko://github.com/openshift-pipelines/pipelines-as-code/cmd/pipelines-as-code-watcher":    build.PACWatcher,
	"ko://github.com/openshift-pipelines/pipelines-as-code/cmd/pipelines-as-code-webhook":    build.PACWebhook,
}

// koPaths are the paths at which Tekton looks for its programs in their images.
var koPaths = map[build.Component]string{
	build.TektonEntrypoint:     "/ko-app/entrypoint",
	build.TektonWorkingDirInit: "/ko-app/workingdirinit",
}

// content is what an image holds: files of this machine, by their paths in the image.
type content struct {
	files      map[string]string
	entrypoint string
}

// MakeImages writes archives with the images of everything that runs in the cluster to dir, and
// removes archives of earlier content.
func MakeImages(ctx context.Context, log func(format string, args ...any), dir string) (map[string]Image, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("the images for kind need programs for linux, but this machine builds them for %s: run this on Linux, "+
			"or install published images with \"terraform -chdir=terraform/e2e apply\" (terraform/e2e/README.md)", runtime.GOOS)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	contents, err := contents(ctx, log, dir)
	if err != nil {
		return nil, err
	}
	images := map[string]Image{}
	for _, n := range slices.Sorted(maps.Keys(contents)) {
		img, err := contents[n].archive(n, dir)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", n, err)
		}
		images[n] = img
	}
	return images, prune(dir, images)
}

// contents builds the programs and returns the content of each image.
func contents(ctx context.Context, log func(format string, args ...any), dir string) (map[string]content, error) {
	components := append(slices.Collect(maps.Values(koImages)), build.Gitea)
	programs, err := build.Build(ctx, log, components...)
	if err != nil {
		return nil, err
	}
	all := map[string]content{}
	for _, c := range koImages {
		target := cmp.Or(koPaths[c], "/ko-app/"+string(c))
		all[string(c)] = content{files: map[string]string{target: programs[c]}, entrypoint: target}
	}
	for _, c := range []build.Component{build.PACController, build.PACWatcher} {
		if _, err := os.Stat(certificates); err == nil { // for a Git provider outside the cluster
			all[string(c)].files[certificates] = certificates
		}
	}
	if all[string(build.Gitea)], err = giteaContent(ctx, programs[build.Gitea]); err != nil {
		return nil, err
	}
	for n, pkg := range map[string]string{addonImage: "./addon/cmd/pac-lease-queue", stepImage: "./e2e/suite/kind/step"} {
		program := filepath.Join(dir, n)
		if err := compile(ctx, pkg, program); err != nil {
			return nil, err
		}
		all[n] = content{files: map[string]string{"/" + n: program}, entrypoint: "/" + n}
	}
	return all, nil
}

// certificates is where Go looks for the trusted certificates.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// compile builds one of our own programs, statically and reproducibly.
func compile(ctx context.Context, pkg, program string) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// archive writes the image to dir unless it is there already.
func (c content) archive(n, dir string) (Image, error) {
	tag, err := c.tag()
	if err != nil {
		return Image{}, err
	}
	img := Image{Name: n, Tag: tag, Archive: filepath.Join(dir, n+"-"+tag+archiveSuffix)}
	if _, err := os.Stat(img.Archive); !errors.Is(err, fs.ErrNotExist) {
		return img, err
	}
	packed, err := image.FromScratch(image.Spec{
		Programs:     c.files,
		Entrypoint:   []string{c.entrypoint},
		Architecture: runtime.GOARCH,
		Created:      time.Unix(0, 0).UTC(),
	})
	if err != nil {
		return Image{}, err
	}
	ref, err := name.NewTag(img.Ref())
	if err != nil {
		return Image{}, err
	}
	partial := img.Archive + ".partial-" + strconv.Itoa(os.Getpid())
	if err := tarball.WriteToFile(partial, ref, packed); err != nil {
		return Image{}, err
	}
	return img, os.Rename(partial, img.Archive)
}

// tag returns the content's hash.
func (c content) tag() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.GOARCH, c.entrypoint)
	for _, target := range slices.Sorted(maps.Keys(c.files)) {
		fmt.Fprintln(h, target)
		f, err := os.Open(c.files[target])
		if err != nil {
			return "", err
		}
		n, err := io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, n)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}

const archiveSuffix = ".image.tar"

// prune removes the archives in dir that do not belong to images.
func prune(dir string, images map[string]Image) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"+archiveSuffix+"*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		wanted := func(i Image) bool { return i.Archive == file }
		if !slices.ContainsFunc(slices.Collect(maps.Values(images)), wanted) {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// folder maps the files below dir to the same paths below target.
func folder(files map[string]string, dir, target string) error {
	return filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		files[path.Join(target, filepath.ToSlash(below))] = file
		return nil
	})
}
