package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// Kit is what terraform/e2e needs to put the whole system on a cluster.
type Kit struct {
	// Terraform is the program: terraform or tofu.
	Terraform string
	// Configuration is the folder of the Terraform configuration.
	Configuration string
	// Env is what Terraform's environment must have on top of ours: PATH with the tools in front that provisioners call, above all.
	Env map[string]string
	// Variables are those of the Terraform configuration that say what was prepared.
	Variables map[string]any
	// StepImage is the image of e2e/suite/kind/step, for the steps of test runs.
	StepImage string
}

// Prepare builds what is missing. Dir is the folder for archives and manifests, which
// Terraform refers to. Progress goes to log; nil means standard error.
//
// It reads the environment: E2E_TERRAFORM, E2E_KIND, E2E_KUBECTL and E2E_HELM name
// programs to use instead of building them, KIND_NODE_IMAGE the image of kind's node,
// and KIND_CONFIG_PATCHES a file to append to kind's configuration. Relative paths are
// of the repository's root, where make runs, whatever folder a test runs in.
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

// FindTools is Prepare without images and manifests: enough to destroy.
func FindTools(ctx context.Context, log func(format string, args ...any), dir string) (*Kit, error) {
	root, err := build.Root()
	if err != nil {
		return nil, err
	}
	kit := &Kit{Configuration: filepath.Join(root, "terraform", "e2e")}
	return kit, kit.findTools(ctx, log, root, dir)
}

// tools are what the kit runs, and what the environment may name in place of each.
var tools = []struct {
	component build.Component
	variable  string
}{
	{build.Kind, "E2E_KIND"},
	{build.Kubectl, "E2E_KUBECTL"},
	{build.Helm, "E2E_HELM"},
	{build.Tofu, "E2E_TERRAFORM"},
}

// findTools finds or builds the tools. Provisioners find theirs by their plain names: dir has a link to each.
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
		if strings.ContainsRune(program, filepath.Separator) { // else PATH says where it is
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
		// What somebody has configured for other work must not change this.
		"TF_CLI_CONFIG_FILE": os.DevNull,
		"TF_IN_AUTOMATION":   "1",
		"CHECKPOINT_DISABLE": "1",
	}
	return nil
}

// absolute is a path that may be relative to the root.
func absolute(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

// link makes name a link to file, also while others read it.
func link(file, name string) error {
	fresh := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.Symlink(file, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}

// VariablesFile is where WriteVariables writes what a cluster is made with, whoever
// makes it, so that others go on with the same. Dir is that of Prepare.
func VariablesFile(dir string) string { return filepath.Join(dir, "kit.tfvars.json") }

// WriteVariables writes Variables, with more on top, to a file for -var-file.
func (k *Kit) WriteVariables(file string, more map[string]any) error {
	all := map[string]any{}
	for _, m := range []map[string]any{k.Variables, more} {
		for name, value := range m {
			all[name] = value
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}

// Command runs Terraform in the configuration.
func (k *Kit) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.Terraform, append([]string{"-chdir=" + k.Configuration}, args...)...)
	cmd.Env = os.Environ()
	for name, value := range k.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// Claims are the targets of an apply before the first one: it writes what destroy has to know into the state before anything is made.
// Only OpenTofu needs it, which writes its state every 20 seconds: killed before, a later destroy would find nothing to do.
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

// Resources counts what Terraform has in its state.
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

// Unused is an error if Terraform has made something that is still there: somebody
// works with it, and a test must neither change it nor take it away in the end.
func (k *Kit) Unused() error {
	switch n, err := k.Resources(); {
	case err != nil:
		return err
	case n > 0:
		return errors.New(`there is a cluster already: "make e2e-kind-down" removes it, "SKIP_apply=1 SKIP_destroy=1 make e2e-kind" plays the suite on it`)
	}
	return nil
}

// RemoveState removes Terraform's files, if its state is empty.
func (k *Kit) RemoveState() error {
	n, err := k.Resources()
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%s still has %d resources", k.stateFile(), n)
	}
	return errors.Join(os.RemoveAll(k.stateFile()), os.RemoveAll(k.stateFile()+".backup"), os.RemoveAll(filepath.Join(k.Configuration, ".terraform")))
}
