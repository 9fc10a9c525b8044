package chart

import "testing"

// The chart is linted here, so that `make lint` needs no helm.
func TestLint(t *testing.T) {
	if out, err := helmCommand(t, "lint", "--strict", "--quiet", chart).CombinedOutput(); err != nil {
		t.Errorf("helm lint: %v\n%s", err, out)
	}
}
