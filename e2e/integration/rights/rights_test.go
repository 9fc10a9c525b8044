package rights

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// Deadlines. They bound how long a failing test takes.
const (
	refusedDeadline = 90 * time.Second // from a right being taken to its being missed
	workDeadline    = 2 * time.Minute  // everything of the work done
	settledDeadline = 30 * time.Second // the API server knows what it was told
)

// atOnce is how many installations are worked with at the same time: they wait
// more than they do.
const atOnce = "8"

var cluster *stack.Stack

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm}, func(_ context.Context, s *stack.Stack) error {
		cluster = s
		return nil
	}))
}

// Namespaced mode has each rule of the default mode in a role of its own for each
// place, so that it says more about where a right is needed.
func TestEveryRightIsNeeded(t *testing.T) {
	if cluster == nil {
		t.Skip("runs on a real API server")
	}
	complete := install(t, "complete", "none")
	if err := complete.work(t.Context(), queues); err != nil {
		t.Fatalf("with all rights: %v", err)
	}
	complete.stop(t)
	if leader := complete.leader(t); leader != "" {
		t.Errorf("after its end %s still leads: the next leader has to wait for the lease to run out", leader)
	}
	for i, r := range complete.rights(t) {
		t.Run("not allowed to "+r.String(), func(t *testing.T) {
			t.Parallel()
			in := install(t, fmt.Sprintf("right-%02d", i), "none")
			in.needs(t, r, queues)
		})
	}
}

// The webhook needs more. Its configuration is the cluster's, so there is just one
// installation.
func TestEveryRightOfTheWebhookIsNeeded(t *testing.T) {
	if cluster == nil {
		t.Skip("runs on a real API server")
	}
	in := install(t, "webhook", "webhook")
	if err := in.work(t.Context(), certificates); err != nil {
		t.Fatalf("with all rights: %v", err)
	}
	for _, r := range in.rights(t) {
		if r.resource != "secrets" && r.group != "admissionregistration.k8s.io" {
			continue // see above
		}
		t.Run("not allowed to "+r.String(), func(t *testing.T) { in.needs(t, r, certificates) })
	}
}

// installation is the add-on in namespaces of its own.
type installation struct {
	addon      *stack.Addon
	namespaces map[place]string
	passes     int
	logged     int // of the log, before the replica started last
}

func install(t *testing.T, name, hold string) *installation {
	t.Helper()
	in := &installation{namespaces: map[place]string{own: name, watched: name + "-team", ofPAC: name + "-pac"}}
	for _, namespace := range in.namespaces {
		must(t, cluster.NewNamespace(t.Context(), namespace))
	}
	in.prepare(t)
	var err error
	in.addon, err = cluster.InstallAddon(t.Context(), stack.AddonOptions{
		Replicas:  1,
		Namespace: name,
		Values: []string{
			"admission.hold=" + hold, "admission.guard.enabled=false",
			"watchNamespaces={" + in.namespaces[watched] + "}", "pac.namespace=" + in.namespaces[ofPAC],
			"concurrency.takeoverAfter=1s", "concurrency.orderGrace=1s",
		},
		// Clusters older than streaming lists have a replica list what it watches.
		Env: []string{"KUBE_FEATURE_WatchListClient=false"},
	})
	must(t, err)
	t.Cleanup(func() {
		if err := in.replica().Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return in
}

func (in *installation) replica() *stack.Replica { return in.addon.Replicas()[0] }

// needs takes the right away, wants the replica refused what it then cannot do,
// gives it back and wants the work done.
func (in *installation) needs(t *testing.T, r right, work work) {
	t.Helper()
	in.stop(t)
	rules := in.rules(t, r.role)
	fewer, err := without(r, rules)
	must(t, err)
	in.setRules(t, r, fewer, false)
	in.launch(t)

	ctx, stop := context.WithTimeoutCause(t.Context(), refusedDeadline, fmt.Errorf("nothing was refused within %s", refusedDeadline))
	worked := make(chan error, 1)
	go func() { worked <- in.work(ctx, work) }()
	refused := until(ctx, func() error {
		if !in.refused(t, r) {
			return errors.New("the replica has not said that it " + r.refusal())
		}
		return nil
	})
	stop()
	if err := <-worked; err == nil {
		t.Error("everything works without")
	} else {
		t.Log(err)
	}
	if refused != nil {
		t.Error(refused)
	}

	in.stop(t)
	in.setRules(t, r, rules, true)
	in.launch(t)
	if err := in.work(t.Context(), work); err != nil {
		t.Errorf("with the right again: %v", err)
	}
}

func (in *installation) stop(t *testing.T) {
	t.Helper()
	must(t, in.replica().Stop(t.Context()))
}

// leader is whoever holds the Lease of the only bucket of queues.
func (in *installation) leader(t *testing.T) string {
	t.Helper()
	l, err := cluster.Kubernetes().CoordinationV1().Leases(in.namespaces[own]).Get(t.Context(), bucket, metav1.GetOptions{})
	must(t, err)
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// launch starts the replica, which may not get ready, with the configuration that
// it had at first: work that was interrupted may have left another.
func (in *installation) launch(t *testing.T) {
	t.Helper()
	must(t, in.configure(t.Context(), "backend", "lease"))
	must(t, in.configure(t.Context(), "claim-ttl", usualTTL))
	in.logged += len(in.log(t))
	must(t, in.replica().Launch())
}

// log is what the replica has said since it was started last.
func (in *installation) log(t *testing.T) []byte {
	t.Helper()
	log, err := os.ReadFile(in.replica().LogFile())
	must(t, err)
	return log[in.logged:]
}

// refused says whether the replica has been, since it was started last. Most of
// its log is JSON, which escapes quotes.
func (in *installation) refused(t *testing.T, r right) bool {
	t.Helper()
	return bytes.Contains(bytes.ReplaceAll(in.log(t), []byte(`\`), nil), []byte(r.refusal()))
}

// roles are all that the chart may make for the replicas.
var roles = []role{{"", own}, {"-queues", watched}, {"-pac", ofPAC}, {"", everywhere}}

func (r role) name() string { return "pac-lease-queue" + r.suffix }

func (in *installation) rights(t *testing.T) (all []right) {
	t.Helper()
	for _, role := range roles {
		all = append(all, rightsOf(role, in.rules(t, role))...)
	}
	if len(all) == 0 {
		t.Fatal("the chart gives no rights")
	}
	return all
}

func (in *installation) rules(t *testing.T, r role) []rbacv1.PolicyRule {
	t.Helper()
	rbac := cluster.Kubernetes().RbacV1()
	if r.in == everywhere {
		found, err := rbac.ClusterRoles().List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + r.name()})
		must(t, err)
		if len(found.Items) == 0 {
			return nil
		}
		return found.Items[0].Rules
	}
	found, err := rbac.Roles(in.namespaces[r.in]).Get(t.Context(), r.name(), metav1.GetOptions{})
	must(t, err)
	return found.Rules
}

// setRules changes the role, and returns when the API server goes by it.
func (in *installation) setRules(t *testing.T, r right, rules []rbacv1.PolicyRule, allowed bool) {
	t.Helper()
	rbac, ctx := cluster.Kubernetes().RbacV1(), t.Context()
	must(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if r.role.in == everywhere {
			found, err := rbac.ClusterRoles().Get(ctx, r.role.name(), metav1.GetOptions{})
			if err != nil {
				return err
			}
			found.Rules = rules
			_, err = rbac.ClusterRoles().Update(ctx, found, metav1.UpdateOptions{})
			return err
		}
		found, err := rbac.Roles(in.namespaces[r.role.in]).Get(ctx, r.role.name(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		found.Rules = rules
		_, err = rbac.Roles(found.Namespace).Update(ctx, found, metav1.UpdateOptions{})
		return err
	}))
	ctx, stop := context.WithTimeout(ctx, settledDeadline)
	defer stop()
	must(t, until(ctx, func() error {
		may, err := in.may(ctx, r)
		if err == nil && may != allowed {
			err = fmt.Errorf("the replicas may %s: %t", r, may)
		}
		return err
	}))
}

// may asks the API server whether the replicas have the right.
func (in *installation) may(ctx context.Context, r right) (bool, error) {
	attributes := &authorizationv1.ResourceAttributes{Namespace: in.namespaces[r.role.in], Verb: r.verb, Group: r.group, Resource: r.resource}
	switch r.resource {
	case "configmaps":
		if r.role.in == ofPAC {
			attributes.Name = settings
		}
	case "secrets":
		attributes.Name = certificate
	case "mutatingwebhookconfigurations":
		attributes.Name = webhookConfiguration
	}
	review, err := cluster.Kubernetes().AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + in.namespaces[own] + ":pac-lease-queue", ResourceAttributes: attributes,
		},
	}, metav1.CreateOptions{})
	return err == nil && review.Status.Allowed, err
}

// until asks again and again.
func until(ctx context.Context, check func() error) error {
	return await.Until(ctx, 100*time.Millisecond, check)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
