// Command image makes the product's container image, for all architectures that it
// is released for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/pac-lease-queue/pac-lease-queue/scripts/image"
)

const program = "pac-lease-queue"

func main() {
	out := flag.String("out", "bin",
		"folder to write to: image/ (an OCI layout) and, for docker load and kind, a tar file per architecture")
	ref := flag.String("ref", "ghcr.io/pac-lease-queue/pac-lease-queue:devel", "name of the image")
	version := flag.String("version", "devel", "version that the program tells")
	push := flag.Bool("push", false, "also push it, with the credentials that docker has")
	arch := flag.String("arch", "amd64,arm64", "architectures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *ref, *version, strings.Split(*arch, ","), *push); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, ref, version string, architectures []string, push bool) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	commit, created, err := head(ctx)
	if err != nil {
		return err
	}
	var images []v1.Image
	for _, arch := range architectures {
		binary := filepath.Join(out, program+"-linux-"+arch)
		if err := compile(ctx, arch, version, binary); err != nil {
			return err
		}
		img, err := image.FromScratch(image.Spec{
			Programs:     map[string]string{"/" + program: binary},
			Entrypoint:   []string{"/" + program},
			Architecture: arch,
			Created:      created,
			Labels: map[string]string{
				"org.opencontainers.image.title":    program,
				"org.opencontainers.image.version":  version,
				"org.opencontainers.image.revision": commit,
				"org.opencontainers.image.source":   "https://github.com/pac-lease-queue/pac-lease-queue",
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		})
		if err != nil {
			return err
		}
		file := filepath.Join(out, program+"-image-"+arch+".tar")
		if err := tarball.WriteToFile(file, tag, img); err != nil {
			return err
		}
		fmt.Println(file)
		images = append(images, img)
	}
	index, err := image.Index(images...)
	if err != nil {
		return err
	}
	dir := filepath.Join(out, "image")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if _, err := layout.Write(dir, index); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s %s@%s\n", dir, tag.Context(), digest)
	if push {
		return remote.WriteIndex(tag, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	}
	return nil
}

// compile builds the program, static and without anything of this machine in it.
func compile(ctx context.Context, arch, version, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=auto",
		"-ldflags", "-s -w -X github.com/pac-lease-queue/pac-lease-queue/addon/release.Version="+version,
		"-o", binary, "./addon/cmd/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build for %s: %w", arch, err)
	}
	return nil
}

// head is the commit that is checked out, and when it was made: that is when the
// image was "created", so that it can be made again.
func head(ctx context.Context) (commit string, at time.Time, err error) {
	out, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%H %ct").Output()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("which commit is this? %w", err)
	}
	commit, seconds, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return "", time.Time{}, errors.New("git log gives no time of the commit")
	}
	return commit, time.Unix(unix, 0).UTC(), nil
}
