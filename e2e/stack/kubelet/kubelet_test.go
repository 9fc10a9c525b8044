package kubelet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestEnv(t *testing.T) {
	kube := fake.NewClientset(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "config"}, Data: map[string]string{"key": "value"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "secret"}, Data: map[string][]byte{"TOKEN": []byte("t")}},
	)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", Labels: map[string]string{"a/b": "c"}},
		Spec:       corev1.PodSpec{NodeName: "node"},
	}
	from := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	key := func(name string, optional bool) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: "key", Optional: &optional,
		}}
	}
	container := &corev1.Container{
		EnvFrom: []corev1.EnvFromSource{{
			Prefix: "S_", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "secret"}},
		}},
		Env: []corev1.EnvVar{
			{Name: "PLAIN", Value: "1"},
			{Name: "EXPANDED", Value: "$(PLAIN)/$(S_TOKEN)/$(UNKNOWN)/$$(PLAIN)"},
			{Name: "NAME", ValueFrom: from("metadata.name")},
			{Name: "NODE", ValueFrom: from("spec.nodeName")},
			{Name: "LABEL", ValueFrom: from("metadata.labels['a/b']")},
			{Name: "KEY", ValueFrom: key("config", false)},
			{Name: "ABSENT", ValueFrom: key("none", true)},
		},
	}
	got, err := Env(t.Context(), kube, pod, container)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"S_TOKEN=t", "PLAIN=1", "EXPANDED=1/t/$(UNKNOWN)/$(PLAIN)", "NAME=pod", "NODE=node", "LABEL=c", "KEY=value", "ABSENT=",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}

	container.Env = []corev1.EnvVar{{Name: "MISSING", ValueFrom: key("none", false)}}
	if env, err := Env(t.Context(), kube, pod, container); err == nil {
		t.Errorf("a missing ConfigMap gives %q, want an error", env)
	}
}
