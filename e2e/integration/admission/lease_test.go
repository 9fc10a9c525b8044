package admission_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Accounts of the release that guards.
const (
	ownAccount      = guardedRelease + "-pac-lease-queue"
	handBackAccount = ownAccount + "-hand-back"
)

func tenant() *rest.Config { return cluster.Config(stack.Developer) }
func theAddon() *rest.Config {
	return fixture.AsServiceAccount(cluster.Config(stack.Admin), guardedRelease, ownAccount)
}

func theHandBack() *rest.Config {
	return fixture.AsServiceAccount(cluster.Config(stack.Admin), guardedRelease, handBackAccount)
}
func onCall() *rest.Config { return fixture.As(cluster.Config(stack.Admin), "alice", "on-call") }

func clientsOf(t *testing.T, config *rest.Config) fixture.Clients {
	t.Helper()
	c, err := fixture.NewClients(config)
	fixture.Must(t, err)
	return c
}

func leases(t *testing.T, config *rest.Config) coordinationclient.LeaseInterface {
	t.Helper()
	return clientsOf(t, config).Kube.CoordinationV1().Leases(guarded)
}

// refused fails the test unless the error is a refusal by a policy, in words that contain says.
func refused(t *testing.T, what string, err error, says string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(strings.Join(strings.Fields(err.Error()), " "), says) {
		t.Errorf("%s: %v, want a refusal that says %q", what, err, says)
	}
}

func allowed(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s is refused: %v", what, err)
	}
}

// slot is a Lease that the add-on reads as a slot.
func slot(name, repository, holder string) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				"app.kubernetes.io/managed-by": "pac-lease-queue", "pac-lease-queue.dev/repository": repository,
			},
			Annotations: map[string]string{"pac-lease-queue.dev/repository": repository},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository", Name: repository, UID: "uid",
			}},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder},
	}
}

// leasesGuarded waits until slots are guarded.
func leasesGuarded(t *testing.T) {
	t.Helper()
	needsCluster(t)
	eventually(t, "slots are guarded", func() error {
		_, err := leases(t, tenant()).Create(t.Context(), slot("probe.slot-0", "probe", "a"), metav1.CreateOptions{DryRun: all})
		if err == nil {
			return errors.New("a slot is made by a tenant")
		}
		return nil
	})
}

var all = []string{metav1.DryRunAll}

// T3: a thousand Leases that look like slots are refused one by one.
func TestTenantMakesNoSlot(t *testing.T) {
	leasesGuarded(t)
	for name, change := range map[string]func(*coordinationv1.Lease){
		"like a slot in everything": func(*coordinationv1.Lease) {},
		"by its label": func(l *coordinationv1.Lease) {
			l.Annotations, l.OwnerReferences, l.Labels = nil, nil, map[string]string{"app.kubernetes.io/managed-by": "pac-lease-queue"}
		},
		"by its annotation": func(l *coordinationv1.Lease) { l.Labels, l.OwnerReferences = nil, nil },
		// The add-on gives such a Lease its labels back, and then believes in its holder.
		"by its owner": func(l *coordinationv1.Lease) { l.Labels, l.Annotations = nil, nil },
	} {
		l := slot("shop.slot-7", "shop", "ghost-1")
		change(l)
		_, err := leases(t, tenant()).Create(t.Context(), l, metav1.CreateOptions{})
		refused(t, name, err, "Lease guarded/shop.slot-7 would look like a slot of pac-lease-queue")
	}
}

// The slots of others cannot be freed, taken, hidden or deleted by hand.
func TestTenantWritesToNoSlot(t *testing.T) {
	leasesGuarded(t)
	made, err := leases(t, theAddon()).Create(t.Context(), slot("shop.slot-0", "shop", "build-1"), metav1.CreateOptions{})
	fixture.Must(t, err)
	const says = "it is a slot of queue shop, and only pac-lease-queue writes and deletes slots. Leave it as it is. " +
		"To free the slot, cancel or delete PipelineRun build-1; to remove it, lower concurrency_limit of the Repository, or " +
		"spec.limit of the RunQueue, or ask a member of on-call"
	for name, change := range map[string]func(*coordinationv1.Lease){
		"freed":           func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil },
		"its labels lost": func(l *coordinationv1.Lease) { l.Labels = nil },
		"all lost":        func(l *coordinationv1.Lease) { l.Labels, l.Annotations, l.OwnerReferences = nil, nil, nil },
	} {
		l := made.DeepCopy()
		change(l)
		_, err := leases(t, tenant()).Update(t.Context(), l, metav1.UpdateOptions{})
		refused(t, name, err, says)
	}
	refused(t, "deleted", leases(t, tenant()).Delete(t.Context(), made.Name, metav1.DeleteOptions{}), says)
	err = leases(t, tenant()).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: lease.Selector})
	refused(t, "deleted with others", err, says)

	admin := cluster.Config(stack.Admin)
	for name, config := range map[string]*rest.Config{
		"the add-on":                   theAddon(),
		"its hand-back":                theHandBack(),
		"a break-glass group":          onCall(),
		"garbage collection":           fixture.AsServiceAccount(admin, "kube-system", "generic-garbage-collector"),
		"the controller of namespaces": fixture.AsServiceAccount(admin, "kube-system", "namespace-controller"),
		"the controller manager":       cluster.Config(stack.ControllerManagerUser),
	} {
		err := leases(t, config).Delete(t.Context(), made.Name, metav1.DeleteOptions{DryRun: all})
		allowed(t, "a deletion by "+name, err)
	}
}

// Other Leases are free, also one in the place of a slot (T6), and one of another leader.
func TestOtherLeasesAreFree(t *testing.T) {
	leasesGuarded(t)
	for _, name := range []string{"shop.slot-3", "other-leader"} {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "other"}}}
		made, err := leases(t, tenant()).Create(t.Context(), l, metav1.CreateOptions{})
		fixture.Must(t, err)
		holder := "me"
		made.Spec.HolderIdentity = &holder
		made, err = leases(t, tenant()).Update(t.Context(), made, metav1.UpdateOptions{})
		allowed(t, name+" written", err)
		made.Labels["app.kubernetes.io/managed-by"] = "pac-lease-queue"
		_, err = leases(t, tenant()).Update(t.Context(), made, metav1.UpdateOptions{})
		refused(t, name+" made a slot", err, "only pac-lease-queue writes and deletes slots")
		allowed(t, name+" deleted", leases(t, tenant()).Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
}

// T12: the token of a replica is good for slots and for the leader election of the replicas.
func TestOwnAccountWritesNoOtherLease(t *testing.T) {
	needsCluster(t)
	foreign := func(name string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	eventually(t, "the account is guarded", func() error {
		_, err := leases(t, theAddon()).Create(t.Context(), foreign("probe"), metav1.CreateOptions{DryRun: all})
		if err == nil {
			return errors.New("the add-on makes any Lease")
		}
		return nil
	})
	for _, c := range []struct {
		who    string
		config *rest.Config
	}{{"add-on", theAddon()}, {"hand-back", theHandBack()}} {
		name := "leader-of-others-" + c.who
		made, err := leases(t, tenant()).Create(t.Context(), foreign(name), metav1.CreateOptions{})
		fixture.Must(t, err)
		own := leases(t, c.config)
		refused(t, "deleted by the "+c.who, own.Delete(t.Context(), name, metav1.DeleteOptions{}), "is no slot of pac-lease-queue")
		disguised := made.DeepCopy()
		disguised.Labels = slot(name, "shop", "").Labels
		_, err = own.Update(t.Context(), disguised, metav1.UpdateOptions{})
		refused(t, "written by the "+c.who, err, "is no slot of pac-lease-queue")
		_, err = own.Create(t.Context(), foreign("pac-lease-queue.queues.00-of-01"), metav1.CreateOptions{DryRun: all})
		refused(t, "a leader elsewhere by the "+c.who, err, "is no slot of pac-lease-queue")
	}

	slots := leases(t, theAddon())
	made, err := slots.Create(t.Context(), slot("own.slot-0", "own", "a"), metav1.CreateOptions{})
	fixture.Must(t, err)
	lost := made.DeepCopy()
	lost.Labels = nil
	lost, err = leases(t, onCall()).Update(t.Context(), lost, metav1.UpdateOptions{})
	fixture.Must(t, err)
	lost.Labels = made.Labels
	_, err = slots.Update(t.Context(), lost, metav1.UpdateOptions{})
	allowed(t, "restoring the labels of a slot", err)
	allowed(t, "removing a slot", slots.Delete(t.Context(), "own.slot-0", metav1.DeleteOptions{}))

	ctx := context.WithoutCancel(t.Context())
	fixture.Must(t, cluster.NewNamespace(ctx, guardedRelease))
	election := clientsOf(t, theAddon()).Kube.CoordinationV1().Leases(guardedRelease)
	l, err := election.Create(ctx, foreign("pac-lease-queue.queues.00-of-01"), metav1.CreateOptions{})
	fixture.Must(t, err)
	l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "config", UID: "uid"}}
	l, err = election.Update(ctx, l, metav1.UpdateOptions{})
	allowed(t, "the election of a leader", err)
	_, err = clientsOf(t, theHandBack()).Kube.CoordinationV1().Leases(guardedRelease).Update(ctx, l, metav1.UpdateOptions{DryRun: all})
	refused(t, "an election by the hand-back", err, "is no slot")
	refused(t, "the end of an election", election.Delete(ctx, l.Name, metav1.DeleteOptions{DryRun: all}), "is no slot")
	for _, name := range []string{
		"else", "pac-lease-queue.queues.else", "pac-lease-queue.queues.00-of-01.else", "x.pac-lease-queue.queues.00-of-01",
	} {
		_, err = election.Create(ctx, foreign(name), metav1.CreateOptions{DryRun: all})
		refused(t, "another Lease of the release's namespace", err, fmt.Sprintf("Lease %s/%s is no slot", guardedRelease, name))
	}
}

// BenchmarkOtherLease measures what the guard costs the Leases of other products: one update of an
// unlabelled Lease, not persisted.
func BenchmarkOtherLease(b *testing.B) {
	for _, c := range []struct{ name, namespace string }{{"not-guarded", unheld}, {"guarded", guarded}} {
		b.Run(c.name, func(b *testing.B) {
			ctx, client := b.Context(), cluster.Kubernetes().CoordinationV1().Leases(c.namespace)
			name := fmt.Sprintf("bench-%d", b.N)
			l, err := client.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = client.Delete(ctx, name, metav1.DeleteOptions{}) }()
			for b.Loop() {
				if _, err := client.Update(ctx, l, metav1.UpdateOptions{DryRun: all}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
