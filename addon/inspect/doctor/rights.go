package doctor

import (
	"cmp"
	"context"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// Right is one that the replicas need.
type Right struct {
	Verb, Group, Resource, Namespace, Name string
}

func (r Right) String() string {
	s := r.Verb + " " + r.Resource
	if r.Group != "" {
		s += "." + r.Group
	}
	if r.Name != "" {
		s += " " + r.Name
	}
	return s + " in " + cmp.Or(r.where(), "all namespaces")
}

func (r Right) where() string {
	if r.Namespace == "" {
		return ""
	}
	return "namespace " + r.Namespace
}

func (r Right) attributes() *authorizationv1.ResourceAttributes {
	resource, subresource, _ := strings.Cut(r.Resource, "/")
	return &authorizationv1.ResourceAttributes{
		Verb: r.Verb, Group: r.Group, Version: "*", Resource: resource, Subresource: subresource, Namespace: r.Namespace,
		Name: r.Name,
	}
}

// RightsOf are the rights that the chart gives the replicas of an installation
// (templates/rbac.yaml).
func RightsOf(i inspect.Installation) []Right {
	var all []Right
	give := func(namespace, name, group, resource string, verbs ...string) {
		for _, verb := range verbs {
			all = append(all, Right{verb, group, resource, namespace, name})
		}
	}
	own, ofPAC, watched := i.Deployment.Namespace, i.Config.PACNamespace, i.Environment.Watched
	for _, namespace := range watched.Each() {
		give(namespace, "", "tekton.dev", "pipelineruns", "get", "list", "watch", "patch")
		if !i.Environment.WithoutPAC {
			give(namespace, "", "pipelinesascode.tekton.dev", "repositories", "get", "list", "watch")
		}
		give(namespace, "", "coordination.k8s.io", "leases", "get", "list", "watch", "create", "update", "delete")
		give(namespace, "", "", "events", "create", "patch")
		if i.Environment.RunQueues {
			give(namespace, "", "pac-lease-queue.dev", "runqueues", "get", "list", "watch", "create")
			give(namespace, "", "pac-lease-queue.dev", "runqueues/status", "patch")
		}
		if i.Environment.Release.SeesPods() {
			give(namespace, "", "", "pods", "list", "watch")
		}
	}
	if !i.Environment.WithoutPAC {
		for _, settings := range append([]string{pac.SettingsName}, i.Environment.PACConfigMaps...) {
			give(ofPAC, settings, "", "configmaps", "list", "watch")
		}
	}
	give(own, "", "", "configmaps", "get", "list", "watch")
	if !watched.All() && !i.Environment.WithoutPAC {
		give(ofPAC, "", "pipelinesascode.tekton.dev", "repositories", "get", "list", "watch")
	}
	if !watched.All() {
		give(own, "", "coordination.k8s.io", "leases", "get", "create", "update")
		give(own, "", "", "events", "create", "patch")
	}
	if webhook := i.Environment.Webhook; webhook != nil {
		give("", webhook.Configuration, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "list", "watch", "patch")
		give(own, webhook.Secret, "", "secrets", "list", "watch", "create", "patch")
	}
	if i.Environment.SecureMetrics != nil {
		give("", "", "authentication.k8s.io", "tokenreviews", "create")
		give("", "", "authorization.k8s.io", "subjectaccessreviews", "create")
	}
	return all
}

// missing asks the API server which rights the replicas lack.
func (d *Doctor) missing(ctx context.Context, f *Facts, i inspect.Installation) ([]Right, error) {
	var (
		all     errgroup.Group
		wanted  = RightsOf(i)
		lacking = make([]bool, len(wanted))
	)
	const atATime = 8
	all.SetLimit(atATime)
	account := i.Deployment.Namespace
	for n, right := range wanted {
		all.Go(func() error {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + account + ":" + i.Account(),
				Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + account, "system:authenticated"},
				ResourceAttributes: right.attributes(),
			}}
			answer, err := d.Kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			lacking[n] = !answer.Status.Allowed
			return nil
		})
	}
	err := all.Wait()
	if f.refused(err, "The rights of the replicas, for which you need the verb create on subjectaccessreviews") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var missing []Right
	for n, right := range wanted {
		if lacking[n] {
			missing = append(missing, right)
		}
	}
	return missing, nil
}
