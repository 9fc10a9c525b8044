// Package rights proves that the replicas' ServiceAccount has no superfluous right: for every verb
// of every rule the chart grants, a replica without it is refused something its work needs, and
// works again with it.
package rights

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// right is one verb on one resource, in one rule of one role.
type right struct {
	role     role
	group    string
	resource string
	verb     string
}

// role names a role of the chart: what its name adds to the release's, and where it is.
type role struct {
	suffix string
	in     place
}

// place is the part a namespace has in an installation.
type place string

const (
	everywhere place = "any namespace" // a ClusterRole
	own        place = "its own namespace"
	watched    place = "a watched namespace"
	ofPAC      place = "PAC's namespace"
)

func (r right) String() string {
	resource := r.resource
	if r.group != "" {
		resource += "." + r.group
	}
	return fmt.Sprintf("%s %s in %s", r.verb, resource, r.role.in)
}

// refusal returns the API server's words for the refusal of the right.
func (r right) refusal() string {
	return fmt.Sprintf("cannot %s resource %q in API group %q", r.verb, r.resource, r.group)
}

// rightsOf lists the rights in the rules of a role.
func rightsOf(in role, rules []rbacv1.PolicyRule) (all []right) {
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					all = append(all, right{role: in, group: group, resource: resource, verb: verb})
				}
			}
		}
	}
	return all
}

// without returns the rules without the right. It fails if they do not grant it.
func without(r right, rules []rbacv1.PolicyRule) ([]rbacv1.PolicyRule, error) {
	var left []rbacv1.PolicyRule
	taken := false
	for _, rule := range rules {
		rule := *rule.DeepCopy()
		if slices.Contains(rule.APIGroups, r.group) && slices.Contains(rule.Resources, r.resource) {
			if len(rule.APIGroups) > 1 || len(rule.Resources) > 1 {
				return nil, fmt.Errorf("the rule for %s names more than one resource: split it", strings.Join(rule.Resources, ", "))
			}
			kept := slices.DeleteFunc(rule.Verbs, func(verb string) bool { return verb == r.verb })
			taken = taken || len(kept) < len(rule.Verbs)
			rule.Verbs = kept
		}
		if len(rule.Verbs) > 0 {
			left = append(left, rule)
		}
	}
	if !taken {
		return nil, fmt.Errorf("no rule grants the right to %s", r)
	}
	return left, nil
}
