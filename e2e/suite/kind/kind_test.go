package kind

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/manifests"
)

func TestManifests(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the Go modules of Tekton and PAC")
	}
	images := map[string]Image{}
	for _, c := range koImages {
		images[string(c)] = Image{Name: string(c), Tag: "t"}
	}
	texts, err := Manifests(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"pipelines-as-code", "tekton"}, slices.Sorted(maps.Keys(texts))); diff != "" {
		t.Fatal(diff)
	}
	named := map[string]bool{}
	for _, text := range texts {
		objects, err := manifests.Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if o.GetLabels()["app.kubernetes.io/part-of"] == "" {
				t.Errorf("%s %s would not be found again", o.GetKind(), o.GetName())
			}
			if o.GetKind() != "Deployment" && o.GetKind() != "StatefulSet" {
				continue
			}
			for _, container := range podSpec(t, o).Containers {
				for _, reference := range append([]string{container.Image}, container.Args...) {
					if strings.HasPrefix(reference, registry) {
						named[reference] = true
					} else if strings.HasPrefix(reference, "ko://") && !slices.Contains(unused, reference) {
						t.Errorf("%s %s wants %s", o.GetKind(), o.GetName(), reference)
					}
				}
				if container.ImagePullPolicy == corev1.PullAlways {
					t.Errorf("%s %s would pull what is nowhere to be pulled from", o.GetKind(), o.GetName())
				}
			}
		}
	}
	for _, img := range images {
		if !named[img.Ref()] {
			t.Errorf("nothing uses %s", img.Ref())
		}
	}
}

func TestSharedWatcher(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the Go module of PAC")
	}
	images := map[string]Image{}
	for _, c := range koImages {
		images[string(c)] = Image{Name: string(c), Tag: "t"}
	}
	objects, err := pac.manifests(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	o, err := sharedWatcher(objects)
	if err != nil {
		t.Fatal(err)
	}
	set := &appsv1.StatefulSet{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, set, true); err != nil {
		t.Fatal(err)
	}
	if set.Spec.Replicas == nil || *set.Spec.Replicas != 0 {
		t.Errorf("replicas %v, want none before they are asked for", set.Spec.Replicas)
	}
	labels := set.Spec.Template.Labels
	for key, value := range set.Spec.Selector.MatchLabels {
		if labels[key] != value {
			t.Errorf("selects %s=%s, its pods have %q", key, value, labels[key])
		}
	}
	for _, other := range objects {
		if other.GetKind() == "Deployment" && other.GetName() == watcherName {
			deployment := &appsv1.Deployment{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(other.Object, deployment); err != nil {
				t.Fatal(err)
			}
			if maps.Equal(deployment.Spec.Selector.MatchLabels, set.Spec.Selector.MatchLabels) {
				t.Error("Deployment and StatefulSet select the same pods")
			}
		}
	}
	env := map[string]corev1.EnvVar{}
	for _, v := range set.Spec.Template.Spec.Containers[0].Env {
		env[v.Name] = v
	}
	if from := env["STATEFUL_CONTROLLER_ORDINAL"].ValueFrom; from == nil || from.FieldRef == nil || from.FieldRef.FieldPath != "metadata.name" {
		t.Errorf("ordinal from %v", from)
	}
	if got := env["STATEFUL_SERVICE_NAME"].Value; got != set.Spec.ServiceName {
		t.Errorf("service %q, want %q", got, set.Spec.ServiceName)
	}
}

func podSpec(t *testing.T, o *manifests.Object) corev1.PodSpec {
	deployment := &appsv1.Deployment{} // a StatefulSet has its pods at the same place
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, deployment); err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template.Spec
}

func TestArchivesAreKnownByTheirContent(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(t.TempDir(), "program")
	write := func(text string) {
		if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := content{files: map[string]string{"/program": program}, entrypoint: "/program"}
	archive := func() Image {
		img, err := c.archive("a", dir)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}

	write("one")
	first := archive()
	before, err := os.ReadFile(first.Archive)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(before, []byte(first.Ref())) {
		t.Errorf("%s does not name the image %s", first.Archive, first.Ref())
	}
	if again := archive(); again != first {
		t.Errorf("the same program is %v, then %v", first, again)
	}
	write("two")
	second := archive()
	if second.Tag == first.Tag {
		t.Errorf("another program has the same tag %s", second.Tag)
	}

	if err := prune(dir, map[string]Image{"a": second}); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{second.Archive}, left); diff != "" {
		t.Errorf("archives after pruning (-want +got):\n%s", diff)
	}
}

func TestLibraries(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip(err)
	}
	files := map[string]string{}
	if err := libraries(t.Context(), files, git); err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("%s is linked statically", git)
	}
	if err := libraries(t.Context(), files, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a program that is not there has libraries")
	}
	// Run by nothing but what was found: the loader, told to look nowhere else.
	root := t.TempDir()
	var loader string
	for target := range files {
		if strings.HasPrefix(filepath.Base(target), "ld-") {
			loader = target
		}
		if err := os.Symlink(target, filepath.Join(root, filepath.Base(target))); err != nil {
			t.Fatal(err)
		}
	}
	if loader == "" {
		t.Fatalf("no loader among %v", slices.Sorted(maps.Keys(files)))
	}
	out, err := exec.Command(loader, "--inhibit-cache", "--library-path", root, git, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "git version") {
		t.Errorf("%v: %s", err, out)
	}
}

// As make means them: not in the folder that a test runs in.
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

// A cluster is taken for gone only if it is: what is installed on one that somebody
// else keeps must not be forgotten because its API server is down.
func TestGone(t *testing.T) {
	const gone, there, unsure = "gone", "there", "unsure"
	const down = "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"
	dir := t.TempDir()
	kubectl := "#!/bin/sh\nif [ -n \"$SAYS\" ]; then echo \"$SAYS\" >&2; exit 1; fi\n"
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(kubectl), 0o755); err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubectl") // any file
	script, err := os.ReadFile(filepath.Join("..", "..", "..", "terraform", "modules", "scripts", "cluster.sh"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kubeconfig, says string
		disposable       bool
		want             string
	}{
		"it answers":                    {kubeconfig, "", false, there},
		"ours answers":                  {kubeconfig, "", true, there},
		"it is down":                    {kubeconfig, down, false, unsure},
		"ours is down":                  {kubeconfig, down, true, gone},
		"its name is unknown":           {kubeconfig, "dial tcp: lookup api.example: no such host", false, unsure},
		"ours has an unknown name":      {kubeconfig, "dial tcp: lookup api.example: no such host", true, gone},
		"it is out of reach":            {kubeconfig, "i/o timeout", false, unsure},
		"ours refuses us":               {kubeconfig, "Unauthorized", true, unsure},
		"the kubeconfig does not exist": {filepath.Join(dir, "none"), "", false, gone},
		"the kubeconfig has it no more": {kubeconfig, `context "mine" does not exist`, false, gone},
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
				t.Errorf("it is %s, want %s: %v\n%s", got, c.want, err, said.String())
			}
			if c.want == unsure && (!strings.Contains(said.String(), c.says) || !strings.Contains(said.String(), "destroy again")) {
				t.Errorf("it does not say what is wrong and what to do:\n%s", said.String())
			}
		})
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
		t.Errorf("with a cluster: %v, want what to do", err)
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

func TestVariables(t *testing.T) {
	set := map[string]string{"REPLICAS": "3", "BACKEND": "memory", "CLUSTER": "c", ExistingCluster: "/k"}
	got, err := Variables(func(name string) string { return set[name] })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"replicas": 3, "backend": "memory", "cluster_name": "c", "existing_kubeconfig": "/k"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if got, err := Variables(func(string) string { return "many" }); err == nil {
		t.Errorf("words instead of numbers are no error, but %v", got)
	}
}
