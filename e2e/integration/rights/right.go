// Package rights shows that the ServiceAccount of the replicas has no right to
// spare: for every verb of every rule that the chart gives it, a replica without
// it is refused something that its work needs, and with it works again.
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

// role is where a rule is: the name of a role without the release's, and in whose
// namespace it is.
type role struct {
	suffix string
	in     place
}

// place is a namespace by its part in an installation.
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

// refusal is how the API server words the refusal of the right.
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

// without returns the rules without the right. It fails if they do not give it.
func without(r right, rules []rbacv1.PolicyRule) ([]rbacv1.PolicyRule, error) {
	var left []rbacv1.PolicyRule
	taken := false
	for _, rule := range rules {
		rule := *rule.DeepCopy()
		if slices.Contains(rule.APIGroups, r.group) && slices.Contains(rule.Resources, r.resource) {
			if len(rule.APIGroups) > 1 || len(rule.Resources) > 1 {
				return nil, fmt.Errorf("the rule for %s is about more than one resource: split it", strings.Join(rule.Resources, ", "))
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
		return nil, fmt.Errorf("no rule gives the right to %s", r)
	}
	return left, nil
}
