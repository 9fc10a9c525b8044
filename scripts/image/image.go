// Package image makes container images that hold nothing but programs: no base, no
// shell, no container engine needed.
//
// The same files give the same digest, whoever makes the image and when, as long as
// Created is the same.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is the user that programs run as: any but root, which Pod Security
// "restricted" refuses.
const nobody = "65532:65532"

// Spec says what is in an image.
type Spec struct {
	// Programs are files of this machine by their path in the image.
	Programs   map[string]string
	Entrypoint []string
	// Architecture is as Go names it, e.g. amd64.
	Architecture string
	Labels       map[string]string
	Created      time.Time
}

// FromScratch makes the image.
func FromScratch(s Spec) (v1.Image, error) {
	layer, err := layerOf(s.Programs, s.Created)
	if err != nil {
		return nil, err
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{
		Layer:   layer,
		History: v1.History{CreatedBy: "pac-lease-queue make image", Created: v1.Time{Time: s.Created}},
	}); err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", s.Architecture, v1.Time{Time: s.Created}
	file.Config = v1.Config{Entrypoint: s.Entrypoint, User: nobody, WorkingDir: "/", Labels: s.Labels}
	return mutate.ConfigFile(img, file)
}

// layerOf packs the programs, and the folders that they are in.
func layerOf(programs map[string]string, created time.Time) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	made := map[string]bool{"/": true, ".": true}
	for _, target := range slices.Sorted(maps.Keys(programs)) {
		if !path.IsAbs(target) {
			return nil, fmt.Errorf("the path %q in the image is not absolute", target)
		}
		for _, dir := range parents(target) {
			if made[dir] {
				continue
			}
			made[dir] = true
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755, ModTime: created}); err != nil {
				return nil, err
			}
		}
		if err := pack(w, target, programs[target], created); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

func pack(w *tar.Writer, target, file string, created time.Time) error {
	program, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: target[1:], Mode: 0o755, Size: int64(len(program)), ModTime: created}); err != nil {
		return err
	}
	_, err = w.Write(program)
	return err
}

// parents are the folders that a file is in, outermost first.
func parents(file string) []string {
	var dirs []string
	for dir := path.Dir(file); dir != "/"; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// Index is one image for several architectures.
func Index(images ...v1.Image) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, img := range images {
		file, err := img.ConfigFile()
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: file.OS, Architecture: file.Architecture}},
		})
	}
	return index, nil
}
