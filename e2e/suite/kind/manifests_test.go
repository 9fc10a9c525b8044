package kind

import (
	"maps"
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
				t.Errorf("%s %s lacks the label by which destroy finds it", o.GetKind(), o.GetName())
			}
			if o.GetKind() != "Deployment" && o.GetKind() != "StatefulSet" {
				continue
			}
			for _, container := range podSpec(t, o).Containers {
				for _, reference := range append([]string{container.Image}, container.Args...) {
					if strings.HasPrefix(reference, registry) {
						named[reference] = true
					} else if strings.HasPrefix(reference, "ko://") && !slices.Contains(unused, reference) {
						t.Errorf("%s %s still refers to %s", o.GetKind(), o.GetName(), reference)
					}
				}
				if container.ImagePullPolicy == corev1.PullAlways {
					t.Errorf("%s %s always pulls its image, which no registry has", o.GetKind(), o.GetName())
				}
			}
		}
	}
	for _, img := range images {
		if !named[img.Ref()] {
			t.Errorf("no manifest uses %s", img.Ref())
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
		t.Errorf("replicas %v, want 0", set.Spec.Replicas)
	}
	labels := set.Spec.Template.Labels
	for key, value := range set.Spec.Selector.MatchLabels {
		if labels[key] != value {
			t.Errorf("the selector has %s=%s, the pods have %q", key, value, labels[key])
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
	from := env["STATEFUL_CONTROLLER_ORDINAL"].ValueFrom
	if from == nil || from.FieldRef == nil || from.FieldRef.FieldPath != "metadata.name" {
		t.Errorf("the ordinal comes from %v, want the pod's name", from)
	}
	if got := env["STATEFUL_SERVICE_NAME"].Value; got != set.Spec.ServiceName {
		t.Errorf("service %q, want %q", got, set.Spec.ServiceName)
	}
}

func podSpec(t *testing.T, o *manifests.Object) corev1.PodSpec {
	deployment := &appsv1.Deployment{} // a StatefulSet has its pod template at the same place
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, deployment); err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template.Spec
}
