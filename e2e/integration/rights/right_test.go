package rights

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

func TestWithout(t *testing.T) {
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		{APIGroups: []string{"tekton.dev"}, Resources: []string{"pipelineruns"}, Verbs: []string{"patch"}},
	}
	all := rightsOf(role{in: own}, rules)
	if len(all) != 3 {
		t.Fatalf("the rights are %v, want three", all)
	}
	for _, r := range all {
		left, err := without(r, rules)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(other right) bool { return other == r })
		if got := rightsOf(role{in: own}, left); !slices.Equal(got, want) {
			t.Errorf("without the right to %s the rights are %v, want %v", r, got, want)
		}
	}
	if _, err := without(right{group: "", resource: "events", verb: "delete"}, rules); err == nil {
		t.Error("a right that no rule grants was removed")
	}
}
