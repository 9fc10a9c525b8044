package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// Kit is everything that terraform/e2e needs to put the whole system on a cluster.
type Kit struct {
	// Terraform is the path of the program, terraform or tofu.
	Terraform string
	// Configuration is the folder of the Terraform configuration.
	Configuration string
	// Env is added to Terraform's environment. Its PATH begins with the tools that provisioners
	// call.
	Env map[string]string
	// Variables are the configuration's variables for what was prepared.
	Variables map[string]any
	// StepImage is the image of e2e/suite/kind/step, for the steps of test runs.
	StepImage string
}

// Prepare builds what is missing. It writes archives and manifests to dir, where Terraform reads
// them. Progress goes to log; nil means standard error.
//
// It reads the environment: E2E_TERRAFORM, E2E_KIND, E2E_KUBECTL and E2E_HELM name programs to use
// instead of building them, KIND_NODE_IMAGE names the image of kind's node, and KIND_CONFIG_PATCHES
// a file to append to kind's configuration. Relative paths are relative to the repository's root,
// where make runs, and not to the folder of a test.
func Prepare(ctx context.Context, log func(format string, args ...any), dir string) (*Kit, error) {
	root, err := build.Root()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	kit := &Kit{
		Configuration: filepath.Join(root, "terraform", "e2e"),
		Variables:     map[string]any{"images": "built", "node_image": os.Getenv("KIND_NODE_IMAGE")},
	}
	if file := os.Getenv("KIND_CONFIG_PATCHES"); file != "" {
		patches, err := os.ReadFile(absolute(root, file))
		if err != nil {
			return nil, fmt.Errorf("KIND_CONFIG_PATCHES: %w", err)
		}
		kit.Variables["kind_config_patches"] = string(patches)
	}
	if err := kit.findTools(ctx, log, root, filepath.Join(dir, "tools")); err != nil {
		return nil, err
	}
	images, err := MakeImages(ctx, log, filepath.Join(dir, "images"))
	if err != nil {
		return nil, err
	}
	texts, err := Manifests(ctx, images)
	if err != nil {
		return nil, err
	}
	for name, text := range texts {
		file := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return nil, err
		}
		kit.Variables[strings.ReplaceAll(name, "-", "_")+"_manifests"] = file
	}
	kit.StepImage = images[stepImage].Ref()
	kit.Variables["image_archives"] = archives(images)
	kit.Variables["gitea_image"] = images[string(build.Gitea)].Ref()
	kit.Variables["addon_image"] = images[addonImage].Ref()
	return kit, nil
}

// FindTools is Prepare without images and manifests, which is enough to destroy a cluster.
func FindTools(ctx context.Context, log func(format string, args ...any), dir string) (*Kit, error) {
	root, err := build.Root()
	if err != nil {
		return nil, err
	}
	kit := &Kit{Configuration: filepath.Join(root, "terraform", "e2e")}
	return kit, kit.findTools(ctx, log, root, dir)
}

// tools are the programs of the kit, each with the environment variable that may name another.
var tools = []struct {
	component build.Component
	variable  string
}{
	{build.Kind, "E2E_KIND"},
	{build.Kubectl, "E2E_KUBECTL"},
	{build.Helm, "E2E_HELM"},
	{build.Tofu, "E2E_TERRAFORM"},
}

// findTools finds or builds the tools. Provisioners call theirs by plain names, so dir gets a link
// to each.
func (k *Kit) findTools(ctx context.Context, log func(format string, args ...any), root, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, tool := range tools {
		program := os.Getenv(tool.variable)
		if program == "" {
			programs, err := build.Build(ctx, log, tool.component)
			if err != nil {
				return err
			}
			program = programs[tool.component]
		}
		if strings.ContainsRune(program, filepath.Separator) { // a plain name is on PATH
			program = absolute(root, program)
		}
		program, err := exec.LookPath(program)
		if err != nil {
			return fmt.Errorf("%s: %w", tool.variable, err)
		}
		if tool.component == build.Tofu {
			k.Terraform = program
			continue
		}
		if err := link(program, filepath.Join(dir, string(tool.component))); err != nil {
			return err
		}
	}
	k.Env = map[string]string{
		"PATH": dir + string(os.PathListSeparator) + os.Getenv("PATH"),
		// The user's own configuration of Terraform must not change the result.
		"TF_CLI_CONFIG_FILE": os.DevNull,
		"TF_IN_AUTOMATION":   "1",
		"CHECKPOINT_DISABLE": "1",
	}
	return nil
}

// absolute resolves a path that may be relative to the root.
func absolute(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

// link replaces name by a link to file, atomically.
func link(file, name string) error {
	fresh := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.Symlink(file, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}

// VariablesFile returns the path for WriteVariables below the dir of Prepare. It is the same for
// every caller, so that a test and command kit can continue each other's work.
func VariablesFile(dir string) string { return filepath.Join(dir, "kit.tfvars.json") }

// WriteVariables writes Variables to a file for -var-file, overridden by more.
func (k *Kit) WriteVariables(file string, more map[string]any) error {
	all := map[string]any{}
	maps.Copy(all, k.Variables)
	maps.Copy(all, more)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}

// Command returns a command that runs Terraform in the configuration's folder.
func (k *Kit) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.Terraform, append([]string{"-chdir=" + k.Configuration}, args...)...)
	cmd.Env = os.Environ()
	for name, value := range k.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// Claims returns the targets to apply first. They write what destroy must know to the state before
// anything is created. Only OpenTofu needs this: it writes its state every 20 seconds, and if it is
// killed before, a later destroy would find nothing to remove.
func Claims(existingCluster bool) []string {
	if !existingCluster {
		return []string{"module.kind_cluster[0].terraform_data.claim"}
	}
	return []string{
		"module.tekton.module.manifests.terraform_data.claim",
		"module.pipelines_as_code.module.manifests.terraform_data.claim",
		"module.gitea[0].module.manifests.terraform_data.claim",
		"module.pac_lease_queue[0].terraform_data.claim",
	}
}

func (k *Kit) stateFile() string { return filepath.Join(k.Configuration, "terraform.tfstate") }

// Resources returns the number of resources in Terraform's state.
func (k *Kit) Resources() (int, error) {
	text, err := os.ReadFile(k.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	var state struct{ Resources []any }
	if err := json.Unmarshal(text, &state); err != nil {
		return 0, fmt.Errorf("%s: %w", k.stateFile(), err)
	}
	return len(state.Resources), nil
}

// Unused returns an error if Terraform's state has resources. They may be in use, so a test must
// neither change nor remove them.
func (k *Kit) Unused() error {
	switch n, err := k.Resources(); {
	case err != nil:
		return err
	case n > 0:
		return errors.New(`a cluster exists already: "make e2e-kind-down" removes it, ` +
			`"SKIP_apply=1 SKIP_destroy=1 make e2e-kind" plays the suite on it`)
	}
	return nil
}

// RemoveState removes Terraform's files. It fails if the state still has resources.
func (k *Kit) RemoveState() error {
	n, err := k.Resources()
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%s still has %d resources", k.stateFile(), n)
	}
	return errors.Join(
		os.RemoveAll(k.stateFile()),
		os.RemoveAll(k.stateFile()+".backup"),
		os.RemoveAll(filepath.Join(k.Configuration, ".terraform")),
	)
}
