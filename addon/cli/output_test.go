package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/doctor"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

func TestEncode(t *testing.T) {
	document := view.NewList([]view.Queue{{Namespace: "shop", Repository: "app", Queued: 3}})
	for format, want := range map[string]string{
		"name":                        "runqueue.pac-lease-queue.dev/app\n",
		"jsonpath={.items[*].queued}": "3",
		"jsonpath={.items[*].none}":   "",
		"custom-columns=QUEUE:.repository,WAITING:.queued,NONE:.x.y": "QUEUE   WAITING   NONE\napp     3         <none>\n",
		"go-template={{range .items}}{{.repository}}{{end}}":         "app",
	} {
		var out bytes.Buffer
		p := &plugin{output: format}
		if err := p.encode(&out, document, "runqueue.pac-lease-queue.dev/app"); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v, want %q", format, out.String(), err, want)
		}
	}
}

// A format that a command does not have, and a template that cannot be read, are refused before the
// cluster is asked.
func TestOutputIsRefused(t *testing.T) {
	for args, want := range map[string]string{
		"list -o tabel":                 `--output is "tabel"; it must be one of wide, json, yaml, name, custom-columns=…, jsonpath=…`,
		"list -o jsonpath":              "template format specified but no template given",
		"list -o jsonpath={.items[":     "unterminated array",
		"list -o custom-columns=X":      `"X" is not HEADER:.path`,
		"list -o custom-columns=X:.a[":  "column X: unterminated array",
		"doctor -o custom-columns=X:.a": `it must be one of json, yaml`,
		"watch shop -o yaml":            `--output is "yaml"; it must be one of json`,
		"doctor -o name":                `--output is "name"; it must be one of json, yaml`,
	} {
		c := Command("kubectl pac-queue")
		c.SetArgs(append(strings.Fields(args), "--server", "https://127.0.0.1:1"))
		err := c.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestExitCode(t *testing.T) {
	for want, err := range map[int]error{
		0: nil, 1: fmt.Errorf("doctor: %w", doctor.ErrFound(2)), 2: errors.New("no cluster"),
	} {
		if got := ExitCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}
