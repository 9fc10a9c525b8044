package image_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/scripts/image"
)

func TestFromScratch(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	spec := image.Spec{
		Programs: map[string]string{"/a": program, "/ko-app/b": program}, Entrypoint: []string{"/a"},
		Architecture: "arm64", Created: time.Unix(1_700_000_000, 0).UTC(), Labels: map[string]string{"l": "v"},
	}
	img, err := image.FromScratch(spec)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	user, label := file.Config.User, file.Config.Labels["l"]
	if file.OS != "linux" || file.Architecture != "arm64" || user == "" || user == "0" || label != "v" {
		t.Errorf("configuration: %+v", file)
	}
	if diff := cmp.Diff([]string{"/a"}, file.Config.Entrypoint); diff != "" {
		t.Errorf("entrypoint (-want +got):\n%s", diff)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	got := map[string]int64{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = h.Mode
	}
	if diff := cmp.Diff(map[string]int64{"a": 0o755, "ko-app/": 0o755, "ko-app/b": 0o755}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	again, err := image.FromScratch(spec)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := img.Digest()
	second, _ := again.Digest()
	if first != second {
		t.Errorf("made twice, it is %s and %s", first, second)
	}
}

func TestFromScratchRefuses(t *testing.T) {
	for name, programs := range map[string]map[string]string{
		"a relative path":             {"a": "/dev/null"},
		"a program that is not there": {"/a": filepath.Join(t.TempDir(), "none")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := image.FromScratch(image.Spec{Programs: programs}); err == nil {
				t.Error("no error")
			}
		})
	}
}
