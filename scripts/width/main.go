// Command width lists the lines that are too wide to read beside each other: comments and Markdown
// prose past 100 columns, lines of Go past 140. A tab counts as four columns.
//
//	go run ./scripts/width          # everything that git has or would add
//	go run ./scripts/width addon    # what is below a folder
//
// Tables, code blocks, directives, testdata and generated files may be as wide as they are. A URL
// does not count, because it cannot be broken.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
)

func main() {
	found, err := check(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "width:", err)
		os.Exit(1)
	}
	for _, l := range found {
		fmt.Fprintln(os.Stderr, l)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

// check returns the lines that are too wide in the files below the given paths, or in all files.
func check(paths []string) ([]string, error) {
	list, err := exec.Command("git", append([]string{"ls-files", "-coz", "--exclude-standard", "--"}, paths...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var found []string
	for name := range bytes.SplitSeq(bytes.TrimRight(list, "\x00"), []byte{0}) {
		lines := reader(string(name))
		if lines == nil {
			continue
		}
		content, err := os.ReadFile(string(name))
		if os.IsNotExist(err) { // deleted, and git does not know yet
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, w := range tooWide(lines(string(content))) {
			found = append(found, fmt.Sprintf("%s:%d: %d columns wide, %d at most", name, w.number, w.width, w.limit))
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
