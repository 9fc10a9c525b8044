package kind

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLibraries(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip(err)
	}
	files := map[string]string{}
	if err := libraries(t.Context(), files, git); err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("%s is linked statically", git)
	}
	if err := libraries(t.Context(), files, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing program is no error")
	}
	// The libraries suffice if the program runs with a loader that looks nowhere else.
	root := t.TempDir()
	var loader string
	for target := range files {
		if strings.HasPrefix(filepath.Base(target), "ld-") {
			loader = target
		}
		if err := os.Symlink(target, filepath.Join(root, filepath.Base(target))); err != nil {
			t.Fatal(err)
		}
	}
	if loader == "" {
		t.Fatalf("no loader among %v", slices.Sorted(maps.Keys(files)))
	}
	out, err := exec.Command(loader, "--inhibit-cache", "--library-path", root, git, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "git version") {
		t.Errorf("%v: %s", err, out)
	}
}
