package kind

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArchivesAreKnownByTheirContent(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(t.TempDir(), "program")
	write := func(text string) {
		if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := content{files: map[string]string{"/program": program}, entrypoint: "/program"}
	archive := func() Image {
		img, err := c.archive("a", dir)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}

	write("one")
	first := archive()
	before, err := os.ReadFile(first.Archive)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(before, []byte(first.Ref())) {
		t.Errorf("%s does not name the image %s", first.Archive, first.Ref())
	}
	if again := archive(); again != first {
		t.Errorf("the same program makes %v, then %v", first, again)
	}
	write("two")
	second := archive()
	if second.Tag == first.Tag {
		t.Errorf("a changed program keeps the tag %s", second.Tag)
	}

	if err := prune(dir, map[string]Image{"a": second}); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{second.Archive}, left); diff != "" {
		t.Errorf("archives after pruning (-want +got):\n%s", diff)
	}
}
