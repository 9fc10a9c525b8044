// Package docs checks the Markdown files of the repository.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fenced   = regexp.MustCompile("(?ms)^ *(```|~~~).*?^ *(```|~~~) *$")
	code     = regexp.MustCompile("`[^`]*`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	unlinked = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks: every relative link of a Markdown file leads to a file of the repository, and to a
// heading if it names one.
func TestLinks(t *testing.T) {
	checked := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || path == filepath.Join("..", "bin") || path == filepath.Join("..", "dist")):
			return fs.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		for _, match := range link.FindAllStringSubmatch(prose(t, path), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(match[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", path, match[1], err)
			} else if anchor != "" && !anchors(prose(t, target))[anchor] {
				t.Errorf("%s links to %s: %s has no such heading", path, match[1], target)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked == 0 {
		t.Error("no link was checked")
	}
}

// prose reads a Markdown file and leaves its code out.
func prose(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fenced.ReplaceAllString(string(text), "")
}

// anchors lists the headings of a text by the names that GitHub gives them.
func anchors(text string) map[string]bool {
	names := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		title := unlinked.ReplaceAllString(code.ReplaceAllStringFunc(match[1], func(s string) string { return strings.Trim(s, "`") }), "$1")
		names[strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(title), ""), " ", "-")] = true
	}
	return names
}
