//go:build unix

package process

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLogLines(t *testing.T) {
	before, after := "# started\nid vm_1 of the first\nvm_1 leads\n", "vm_1 takes over shop/app\nvm_1 takes over shop/web\n"
	p := New(Spec{Name: "replica", Logs: t.TempDir()})
	if err := os.WriteFile(p.LogFile(), []byte(before+after), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from  int
		words []string
		want  string
	}{
		"both words":            {0, []string{"id", "vm_1"}, "id vm_1 of the first\n"},
		"only one of them":      {0, []string{"id", "vm_2"}, ""},
		"after the offset":      {len(before), []string{"takes over", "shop/app"}, "vm_1 takes over shop/app\n"},
		"before the offset":     {len(before), []string{"leads"}, ""},
		"all of it":             {0, nil, before + after},
		"a log that is shorter": {len(before + after + "x"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := p.LogLines(int64(c.from), c.words...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, strings.Join(lines, "")); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}
