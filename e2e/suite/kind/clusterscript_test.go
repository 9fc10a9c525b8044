package kind

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The script takes a cluster for gone only if it is: what is installed on a cluster that Terraform
// did not create must not be forgotten because its API server is down.
func TestGone(t *testing.T) {
	const gone, there, unsure = "gone", "there", "unsure"
	const down = "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"
	dir := t.TempDir()
	kubectl := "#!/bin/sh\nif [ -n \"$SAYS\" ]; then echo \"$SAYS\" >&2; exit 1; fi\n"
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(kubectl), 0o755); err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubectl") // any file that exists
	script, err := os.ReadFile(filepath.Join("..", "..", "..", "terraform", "modules", "scripts", "cluster.sh"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kubeconfig, says string
		disposable       bool
		want             string
	}{
		"a kept cluster answers":                 {kubeconfig, "", false, there},
		"a disposable cluster answers":           {kubeconfig, "", true, there},
		"a kept cluster is down":                 {kubeconfig, down, false, unsure},
		"a disposable cluster is down":           {kubeconfig, down, true, gone},
		"a kept cluster's name is unknown":       {kubeconfig, "dial tcp: lookup api.example: no such host", false, unsure},
		"a disposable cluster's name is unknown": {kubeconfig, "dial tcp: lookup api.example: no such host", true, gone},
		"a kept cluster is out of reach":         {kubeconfig, "i/o timeout", false, unsure},
		"a disposable cluster refuses the user":  {kubeconfig, "Unauthorized", true, unsure},
		"the kubeconfig does not exist":          {filepath.Join(dir, "none"), "", false, gone},
		"the kubeconfig lacks the context":       {kubeconfig, `context "mine" does not exist`, false, gone},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("sh", "-euc", string(script)+"\nif gone >&2; then echo gone; else echo there; fi")
			cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"),
				"KUBECONFIG="+c.kubeconfig, "SAYS="+c.says, fmt.Sprintf("DISPOSABLE=%t", c.disposable))
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.Output()
			got := strings.TrimSpace(string(out))
			if err != nil {
				got = unsure
			}
			if got != c.want {
				t.Errorf("the cluster is %s, want %s: %v\n%s", got, c.want, err, said.String())
			}
			if c.want == unsure && (!strings.Contains(said.String(), c.says) || !strings.Contains(said.String(), "destroy again")) {
				t.Errorf("the message lacks what is wrong or what to do:\n%s", said.String())
			}
		})
	}
}
