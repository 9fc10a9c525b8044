package kind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Relative paths are relative to the root, where make runs, and not to the folder of the test.
func TestRelativePathsAreOfTheRoot(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	program := filepath.Join(root, "tools", "mine")
	if err := os.Mkdir(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{"tools/mine", "./tools/mine", program, "mine"} {
		t.Setenv("PATH", filepath.Dir(program))
		for _, tool := range tools {
			t.Setenv(tool.variable, named)
		}
		kit := &Kit{}
		if err := kit.findTools(t.Context(), t.Logf, root, dir); err != nil {
			t.Errorf("%s: %v", named, err)
			continue
		}
		if kit.Terraform != program {
			t.Errorf("%s: Terraform is %s, want %s", named, kit.Terraform, program)
		}
		if kubectl, err := os.Readlink(filepath.Join(dir, "kubectl")); kubectl != program {
			t.Errorf("%s: kubectl is %s, %v, want %s", named, kubectl, err, program)
		}
	}
}

func TestUnused(t *testing.T) {
	kit := Kit{Configuration: t.TempDir()}
	if err := kit.Unused(); err != nil {
		t.Errorf("without a state: %v", err)
	}
	if err := os.WriteFile(kit.stateFile(), []byte(`{"version": 4, "resources": [{"mode": "managed"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kit.Unused(); err == nil || !strings.Contains(err.Error(), "make e2e-kind-down") {
		t.Errorf("with a cluster: %v, want an error that says what to do", err)
	}
}

func TestRemoveState(t *testing.T) {
	for name, test := range map[string]struct {
		state string
		gone  bool
	}{
		"empty":     {`{"version": 4, "resources": []}`, true},
		"resources": {`{"version": 4, "resources": [{"mode": "managed"}]}`, false},
		"broken":    {`{`, false},
	} {
		t.Run(name, func(t *testing.T) {
			kit := Kit{Configuration: t.TempDir()}
			file := filepath.Join(kit.Configuration, "terraform.tfstate")
			if err := os.WriteFile(file, []byte(test.state), 0o600); err != nil {
				t.Fatal(err)
			}
			err := kit.RemoveState()
			if _, stat := os.Stat(file); (err == nil) != test.gone || os.IsNotExist(stat) != test.gone {
				t.Errorf("%v, then %v", err, stat)
			}
		})
	}
	if err := (&Kit{Configuration: t.TempDir()}).RemoveState(); err != nil {
		t.Errorf("without a state: %v", err)
	}
}
