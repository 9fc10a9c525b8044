package kind

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
		t.Errorf("words in place of numbers give %v, want an error", got)
	}
}
