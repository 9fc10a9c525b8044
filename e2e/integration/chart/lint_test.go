package chart

import (
	"os/exec"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// Here rather than in `make lint`, which then needs no helm.
func TestLint(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), helm, "lint", "--strict", "--quiet", chart)
	cmd.Env = append(process.Env(t.TempDir()), "KUBECONFIG=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("helm lint: %v\n%s", err, out)
	}
}
