package rights

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// Deadlines. They bound the duration of a failing test.
const (
	refusedDeadline = 90 * time.Second // until the replica misses a right that was taken away
	workDeadline    = 2 * time.Minute  // for all of the work
	settledDeadline = 30 * time.Second // until the API server applies changed rules
)

// parallel is the number of installations tested at the same time. They mostly wait.
const parallel = "8"

var cluster *stack.Stack

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm}, func(ctx context.Context, s *stack.Stack) error {
		cluster = s
		return installCRD(ctx)
	}))
}

// installCRD installs the CRD of RunQueues, as whoever has the right to does for releases in
// namespaced mode.
func installCRD(ctx context.Context) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "charts", "pac-lease-queue", "files", "crds", "pac-lease-queue.dev_runqueues.yaml"))
	if err != nil {
		return err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		return err
	}
	client, err := apiextensions.NewForConfig(cluster.Config(stack.Admin))
	if err != nil {
		return err
	}
	crds := client.ApiextensionsV1().CustomResourceDefinitions()
	if _, err := crds.Create(ctx, &crd, metav1.CreateOptions{}); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		is, err := crds.Get(ctx, crd.Name, metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(is.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
		}), err
	})
}

// The test runs in namespaced mode, which has a role per place for the rules of the default mode,
// and so also shows where a right is needed.
func TestEveryRightIsNeeded(t *testing.T) {
	if cluster == nil {
		t.Skip("needs a real API server")
	}
	complete := install(t, "complete", "none")
	if err := complete.work(t.Context(), queues); err != nil {
		t.Fatalf("with all rights: %v", err)
	}
	complete.stop(t)
	if leader := complete.leader(t); leader != "" {
		t.Errorf("%s still leads after it stopped, so the next leader has to wait for the Lease to expire", leader)
	}
	// Some of the work was to make the Lease anew, which leader election does without an owner.
	complete.launch(t)
	fixture.Must(t, complete.replica().WaitReady(t.Context()))
	complete.owned(t)
	complete.stop(t)
	for i, r := range complete.rights(t) {
		t.Run("may not "+r.String(), func(t *testing.T) {
			t.Parallel()
			in := install(t, fmt.Sprintf("right-%02d", i), "none")
			in.needs(t, r, queues)
		})
	}
}

// The webhook, and metrics for authorized clients, need more rights. Their objects are
// cluster-scoped, so one installation serves all subtests.
func TestEveryRightInTheClusterIsNeeded(t *testing.T) {
	if cluster == nil {
		t.Skip("needs a real API server")
	}
	in := install(t, "webhook", "webhook", "metrics.secure.enabled=true",
		"metrics.secure.readers[0].kind=ServiceAccount", "metrics.secure.readers[0].name="+reader,
		"metrics.secure.readers[0].namespace=webhook")
	for _, work := range []work{certificates, scrapes} {
		if err := in.work(t.Context(), work); err != nil {
			t.Fatalf("with all rights: %v", err)
		}
	}
	for _, r := range in.rights(t) {
		switch {
		case r.resource == "secrets", r.group == "admissionregistration.k8s.io":
			t.Run("may not "+r.String(), func(t *testing.T) { in.needs(t, r, certificates) })
		case r.group == "authentication.k8s.io", r.group == "authorization.k8s.io":
			t.Run("may not "+r.String(), func(t *testing.T) { in.needs(t, r, scrapes) })
		default: // TestEveryRightIsNeeded covers it
		}
	}
}

// installation is the add-on in namespaces of its own.
type installation struct {
	addon      *stack.Addon
	namespaces map[place]string
	passes     int
	logged     int // how much of the log precedes the last start of the replica
}

func install(t *testing.T, name, hold string, values ...string) *installation {
	t.Helper()
	in := &installation{namespaces: map[place]string{own: name, watched: name + "-team", ofPAC: name + "-pac"}}
	for _, namespace := range in.namespaces {
		fixture.Must(t, cluster.NewNamespace(t.Context(), namespace))
	}
	in.prepare(t)
	var err error
	in.addon, err = cluster.InstallAddon(t.Context(), stack.AddonOptions{
		Replicas:  1,
		Namespace: name,
		Values: append([]string{
			"admission.hold=" + hold, "admission.guard.enabled=false",
			"watchNamespaces={" + in.namespaces[watched] + "}", "pac.namespace=" + in.namespaces[ofPAC],
			"concurrency.takeoverAfter=1s", "concurrency.orderGrace=1s",
		}, values...),
		// On clusters without streaming lists a replica lists what it watches.
		Env: []string{"KUBE_FEATURE_WatchListClient=false"},
	})
	fixture.Must(t, err)
	t.Cleanup(func() {
		if err := in.replica().Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return in
}

func (in *installation) replica() *stack.Replica { return in.addon.Replicas()[0] }

// needs takes the right away, expects that the replica is refused and does not get its work done,
// gives the right back, and expects the work to be done.
func (in *installation) needs(t *testing.T, r right, work work) {
	t.Helper()
	in.stop(t)
	rules := in.rules(t, r.role)
	fewer, err := without(r, rules)
	fixture.Must(t, err)
	in.setRules(t, r, fewer, false)
	in.launch(t)

	ctx, stop := context.WithTimeoutCause(t.Context(), refusedDeadline, fmt.Errorf("nothing was refused within %s", refusedDeadline))
	worked := make(chan error, 1)
	go func() { worked <- in.work(ctx, work) }()
	refused := fixture.Until(ctx, func() error {
		if !in.refused(t, r) {
			return errors.New("the replica has not logged that it " + r.refusal())
		}
		return nil
	})
	stop()
	if err := <-worked; err == nil {
		t.Error("all of the work was done without the right")
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
		t.Errorf("with the right restored: %v", err)
	}
}

func (in *installation) stop(t *testing.T) {
	t.Helper()
	fixture.Must(t, in.replica().Stop(t.Context()))
}

// leader returns the holder of the Lease of the only bucket of queues, or an empty string.
func (in *installation) leader(t *testing.T) string {
	t.Helper()
	l, err := cluster.Kubernetes().CoordinationV1().Leases(in.namespaces[own]).Get(t.Context(), bucket, metav1.GetOptions{})
	fixture.Must(t, err)
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// owned fails the test unless the Lease of the only bucket goes with the release.
func (in *installation) owned(t *testing.T) {
	t.Helper()
	kube := cluster.Kubernetes()
	l, err := kube.CoordinationV1().Leases(in.namespaces[own]).Get(t.Context(), bucket, metav1.GetOptions{})
	fixture.Must(t, err)
	cm, err := kube.CoreV1().ConfigMaps(in.namespaces[own]).Get(t.Context(), configuration, metav1.GetOptions{})
	fixture.Must(t, err)
	if len(l.OwnerReferences) != 1 || l.OwnerReferences[0].UID != cm.UID {
		t.Errorf("the Lease of leader election has the owners %v, want the ConfigMap with the UID %s", l.OwnerReferences, cm.UID)
	}
}

// launch starts the replica, which may not become ready. It first restores the configuration,
// because interrupted work may have left another one.
func (in *installation) launch(t *testing.T) {
	t.Helper()
	fixture.Must(t, in.configure(t.Context(), "backend", "lease"))
	fixture.Must(t, in.configure(t.Context(), "claim-ttl", usualTTL))
	in.logged += len(in.log(t))
	fixture.Must(t, in.replica().Launch())
}

// log returns the replica's log since its last start.
func (in *installation) log(t *testing.T) []byte {
	t.Helper()
	log, err := os.ReadFile(in.replica().LogFile())
	fixture.Must(t, err)
	return log[in.logged:]
}

// refused reports whether the replica has logged a refusal since its last start. Most of its log is
// JSON, which escapes quotes.
func (in *installation) refused(t *testing.T, r right) bool {
	t.Helper()
	return bytes.Contains(bytes.ReplaceAll(in.log(t), []byte(`\`), nil), []byte(r.refusal()))
}

// roles are all the roles that the chart may create for the replicas.
var roles = []role{{"", own}, {"-queues", watched}, {"-pac", ofPAC}, {"", everywhere}}

func (r role) name() string { return "pac-lease-queue" + r.suffix }

func (in *installation) rights(t *testing.T) (all []right) {
	t.Helper()
	for _, role := range roles {
		all = append(all, rightsOf(role, in.rules(t, role))...)
	}
	if len(all) == 0 {
		t.Fatal("the chart grants no rights")
	}
	return all
}

func (in *installation) rules(t *testing.T, r role) []rbacv1.PolicyRule {
	t.Helper()
	rbac := cluster.Kubernetes().RbacV1()
	if r.in == everywhere {
		found, err := rbac.ClusterRoles().List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + r.name()})
		fixture.Must(t, err)
		if len(found.Items) == 0 {
			return nil
		}
		return found.Items[0].Rules
	}
	found, err := rbac.Roles(in.namespaces[r.in]).Get(t.Context(), r.name(), metav1.GetOptions{})
	fixture.Must(t, err)
	return found.Rules
}

// setRules changes the rules of the role, and returns once the API server applies them.
func (in *installation) setRules(t *testing.T, r right, rules []rbacv1.PolicyRule, allowed bool) {
	t.Helper()
	rbac, ctx := cluster.Kubernetes().RbacV1(), t.Context()
	fixture.Must(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
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
	fixture.Must(t, fixture.Until(ctx, func() error {
		may, err := in.may(ctx, r)
		if err == nil && may != allowed {
			err = fmt.Errorf("whether the replicas may %s is %t, want %t", r, may, allowed)
		}
		return err
	}))
}

// may asks the API server whether the replicas have the right.
func (in *installation) may(ctx context.Context, r right) (bool, error) {
	attributes := &authorizationv1.ResourceAttributes{
		Namespace: in.namespaces[r.role.in], Verb: r.verb, Group: r.group,
	}
	attributes.Resource, attributes.Subresource, _ = strings.Cut(r.resource, "/")
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
