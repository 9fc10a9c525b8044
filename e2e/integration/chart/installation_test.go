package chart

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

var (
	section   = regexp.MustCompile(`(?m)^## (.+)\n`)
	yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
)

// TestInstallationDoc renders the chart with all values that docs/installation.md shows, as tools
// without a look into the cluster do, and checks what the sections promise.
func TestInstallationDoc(t *testing.T) {
	shown := valuesInSections(t)
	for title, promise := range map[string]func(t *testing.T, kubernetes string, objects []object){
		"Argo CD": func(t *testing.T, _ string, objects []object) {
			cm := get[*corev1.ConfigMap](t, objects, configMap)
			if got := cm.Annotations["argocd.argoproj.io/sync-options"]; got != "Delete=confirm" {
				t.Errorf("Argo CD would delete the Application without asking: its sync options are %q", got)
			}
			for _, o := range objects {
				if hook := o.GetAnnotations()["helm.sh/hook"]; !slices.Contains([]string{"", "pre-delete", "test"}, hook) {
					t.Errorf("%s is a hook of the kind %q, of which the section says nothing", o, hook)
				}
			}
		},
		"Flux": func(t *testing.T, _ string, objects []object) {
			job := get[*batchv1.Job](t, objects, "Job pac-lease-queue/pac-lease-queue-hand-back")
			if args := strings.Join(job.Spec.Template.Spec.Containers[0].Args, " "); !strings.Contains(args, "4m") {
				t.Errorf("the hand-back does not wait for 4m: %s", args)
			}
		},
		"OpenShift": func(t *testing.T, _ string, objects []object) {
			if cm := get[*corev1.ConfigMap](t, objects, configMap); cm.Data["pac-namespace"] != "openshift-pipelines" {
				t.Errorf("Pipelines-as-Code is expected in %q", cm.Data["pac-namespace"])
			}
		},
		"Private GKE": func(t *testing.T, kubernetes string, objects []object) {
			spec := get[*appsv1.Deployment](t, objects, "Deployment pac-lease-queue/pac-lease-queue").Spec.Template.Spec
			i := slices.IndexFunc(spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == "webhook" })
			if (i >= 0) != (kubernetes == older) {
				t.Fatalf("on Kubernetes %s the ports are %v", kubernetes, spec.Containers[0].Ports)
			}
			want := int32(10250)
			if spec.HostNetwork {
				want = 18443
			}
			if i >= 0 && spec.Containers[0].Ports[i].ContainerPort != want {
				t.Errorf("the webhook is served on port %d, want %d", spec.Containers[0].Ports[i].ContainerPort, want)
			}
		},
		"A private registry": func(t *testing.T, _ string, objects []object) {
			for what, pod := range pods(objects) {
				const want = "registry.example.com:5000/mirror/pac-lease-queue/pac-lease-queue:"
				if got := pod.Spec.Containers[0].Image; !strings.HasPrefix(got, want) || len(pod.Spec.ImagePullSecrets) != 1 {
					t.Errorf("%s pulls %s with the secrets %v", what, got, pod.Spec.ImagePullSecrets)
				}
			}
		},
	} {
		t.Run(title, func(t *testing.T) {
			if len(shown[title]) == 0 {
				t.Fatal("the section shows no values, or does not exist")
			}
			for _, values := range shown[title] {
				for _, kubernetes := range []string{withPolicy, older} {
					objects := parse(t, template(t, "--kube-version", kubernetes, "--values", values))
					for _, o := range objects {
						if o.GetKind() == "Lease" {
							t.Errorf("%s is rendered", o)
						}
					}
					promise(t, kubernetes, objects)
				}
			}
		})
		delete(shown, title)
	}
	for title, all := range shown {
		t.Errorf("the values in section %q have no case here: %v", title, all)
	}
}

// Once everything is handed back, Argo CD need not ask, nor where that is not wanted.
func TestConfirmation(t *testing.T) {
	for _, value := range []string{"handBack=true", "uninstall.confirm=false"} {
		if cm := get[*corev1.ConfigMap](t, render(t, withPolicy, value), configMap); len(cm.Annotations) > 0 {
			t.Errorf("with %s Argo CD asks for confirmation: %v", value, cm.Annotations)
		}
	}
}

// Where Pipelines-as-Code is, is also what the guard goes by.
func TestOpenShiftsNamespaceIsGuarded(t *testing.T) {
	policy := get[*admissionregistrationv1.ValidatingAdmissionPolicy](t, render(t, withPolicy, "pac.namespace=openshift-pipelines"),
		"ValidatingAdmissionPolicy pac-lease-queue-guard")
	spec, err := json.Marshal(policy.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(spec), "system:serviceaccounts:openshift-pipelines") {
		t.Error("the guard does not know the accounts of Pipelines-as-Code")
	}
}

const configMap = "ConfigMap pac-lease-queue/pac-lease-queue-config"

// valuesInSections writes the values that docs/installation.md shows into files, and returns those
// by the title of their section. Values are a block of YAML of their own, or part of an Application
// of Argo CD or a HelmRelease of Flux.
func valuesInSections(t *testing.T) map[string][]string {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(chart, "..", "..", "docs", "installation.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	titles := section.FindAllSubmatchIndex(doc, -1)
	for i, at := range titles {
		title, end := string(doc[at[2]:at[3]]), len(doc)
		if i+1 < len(titles) {
			end = titles[i+1][0]
		}
		for _, block := range yamlBlock.FindAllSubmatch(doc[at[1]:end], -1) {
			found[title] = append(found[title], valuesIn(t, title, string(block[1]))...)
		}
	}
	return found
}

func valuesIn(t *testing.T, title, block string) (files []string) {
	t.Helper()
	documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(block)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		var values map[string]any
		if err := yaml.Unmarshal(document, &values); err != nil {
			t.Fatalf("%s: %v in\n%s", title, err, document)
		}
		switch kind := values["kind"]; kind {
		case nil:
		case "Application":
			values = nested(t, title, values, "spec", "source", "helm", "valuesObject")
		case "HelmRelease":
			values = nested(t, title, values, "spec", "values")
		default:
			continue
		}
		data, err := json.Marshal(values) // which is YAML
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
}

func nested(t *testing.T, title string, object map[string]any, path ...string) map[string]any {
	t.Helper()
	found, exists, err := unstructured.NestedMap(object, path...)
	if err != nil || !exists {
		t.Fatalf("%s: the %v has no %s: %v", title, object["kind"], strings.Join(path, "."), err)
	}
	return found
}
