package chart

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
)

// testdata/rights lists every verb that each account may use, in every mode that changes them.
func TestRights(t *testing.T) {
	var b strings.Builder
	for _, mode := range []struct {
		name, kubernetes string
		values           []string
	}{
		{"all namespaces, policy", withPolicy, nil},
		{"all namespaces, webhook", older, nil},
		{"two namespaces, policy", withPolicy, []string{"watchNamespaces={shop,bank}"}},
		{"two namespaces, webhook", older, []string{"watchNamespaces={shop,bank}"}},
		{"two namespaces, policy, two controllers of Pipelines-as-Code", withPolicy, []string{
			"watchNamespaces={shop,bank}", "pac.configMaps={ghe-configmap}",
		}},
		{"all namespaces, policy, slots are kept for pods", withPolicy, []string{"concurrency.release=podsGone"}},
		{"all namespaces, policy, no RunQueues", withPolicy, []string{"runQueues.enabled=false"}},
		{"all namespaces, policy, no Pipelines-as-Code", withPolicy, []string{"pac.enabled=false"}},
		{"handed back", withPolicy, []string{"handBack=true"}},
		{"two namespaces, policy, metrics for readers only", withPolicy, []string{
			"watchNamespaces={shop,bank}", "metrics.secure.enabled=true",
			"metrics.secure.readers[0].kind=ServiceAccount", "metrics.secure.readers[0].name=prometheus",
			"metrics.secure.readers[0].namespace=monitoring",
		}},
	} {
		fmt.Fprintf(&b, "# %s\n", mode.name)
		accounts := rights(t, render(t, mode.kubernetes, mode.values...))
		for _, account := range slices.Sorted(maps.Keys(accounts)) {
			fmt.Fprintf(&b, "\n%s may\n", account)
			for _, what := range slices.Sorted(maps.Keys(accounts[account])) {
				verbs := accounts[account][what]
				slices.Sort(verbs)
				fmt.Fprintf(&b, "  %s: %s\n", what, strings.Join(slices.Compact(verbs), ", "))
			}
		}
		b.WriteString("\n")
	}
	golden(t, "rights", b.String())
}

// Viewers of a namespace, and so its editors and administrators, may see its queues; those may also
// shape them.
func TestAggregatedRole(t *testing.T) {
	objects := render(t, withPolicy)
	role := get[*rbacv1.ClusterRole](t, objects, "ClusterRole pac-lease-queue-view")
	for _, stock := range []string{"view", "edit", "admin"} {
		if role.Labels["rbac.authorization.k8s.io/aggregate-to-"+stock] != "true" {
			t.Errorf("the stock role %s does not take the rules up", stock)
		}
	}
	read := []string{"get", "list", "watch"}
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{"pipelinesascode.tekton.dev"}, Resources: []string{"repositories"}, Verbs: read},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: read},
		{APIGroups: []string{"pac-lease-queue.dev"}, Resources: []string{"runqueues"}, Verbs: read},
	}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Errorf("the rules (-want +got):\n%s", diff)
	}
	role = get[*rbacv1.ClusterRole](t, objects, "ClusterRole pac-lease-queue-edit")
	if role.Labels["rbac.authorization.k8s.io/aggregate-to-view"] != "" {
		t.Error("viewers may edit")
	}
	want = []rbacv1.PolicyRule{{
		APIGroups: []string{"pac-lease-queue.dev"}, Resources: []string{"runqueues"},
		Verbs: []string{"create", "update", "patch", "delete"},
	}}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Errorf("the rules of editors (-want +got):\n%s", diff)
	}
}

// rights returns the verbs of every account on every resource, from all of its roles.
func rights(t *testing.T, objects []object) map[string]map[string][]string {
	t.Helper()
	rules := map[string][]rbacv1.PolicyRule{}
	unbound := map[string]bool{}
	for _, o := range objects {
		switch role := o.typed.(type) {
		case *rbacv1.ClusterRole:
			if role.Labels["rbac.authorization.k8s.io/aggregate-to-admin"] != "" {
				continue // for users
			}
			rules[o.String()] = role.Rules
		case *rbacv1.Role:
			rules[o.String()] = role.Rules
		default:
			continue
		}
		unbound[o.String()] = true
	}
	accounts := map[string]map[string][]string{}
	bind := func(o object, to rbacv1.RoleRef, subjects []rbacv1.Subject) {
		role, where := to.Kind+" "+to.Name, "anywhere"
		if to.Kind == "Role" {
			role, where = to.Kind+" "+o.GetNamespace()+"/"+to.Name, "in "+o.GetNamespace()
		}
		if rules[role] == nil {
			t.Errorf("%s binds %s, which does not exist", o, role)
		}
		delete(unbound, role)
		for _, subject := range subjects {
			account := subject.Kind + " " + subject.Namespace + "/" + subject.Name
			if accounts[account] == nil {
				accounts[account] = map[string][]string{}
			}
			for _, rule := range rules[role] {
				for _, resource := range resources(rule) {
					accounts[account][resource+" "+where] = append(accounts[account][resource+" "+where], rule.Verbs...)
				}
			}
		}
	}
	for _, o := range objects {
		switch binding := o.typed.(type) {
		case *rbacv1.ClusterRoleBinding:
			bind(o, binding.RoleRef, binding.Subjects)
		case *rbacv1.RoleBinding:
			bind(o, binding.RoleRef, binding.Subjects)
		}
	}
	for role := range unbound {
		t.Errorf("%s is bound to no account", role)
	}
	return accounts
}

// resources lists the resources of a rule, with their names if it has any, and its URLs.
func resources(rule rbacv1.PolicyRule) (all []string) {
	all = append(all, rule.NonResourceURLs...)
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, name := range names {
				what := strings.TrimSuffix(resource+"."+group, ".")
				if name != "" {
					what += " named " + name
				}
				all = append(all, what)
			}
		}
	}
	return all
}
