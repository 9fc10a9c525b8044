package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/storetest"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

const (
	// cacheDeadline is how long an informer may lag behind.
	cacheDeadline = 10 * time.Second

	claimTTL = 90 * time.Second
)

// server is the API server of all tests here; nil with -short.
var server *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.APIServer}, func(_ context.Context, s *stack.Stack) error {
		server = s
		return nil
	}))
}

func config(t *testing.T) *rest.Config {
	t.Helper()
	if server == nil {
		t.Skip("runs on a real API server")
	}
	return server.Config(stack.Admin)
}

// newStore is a store with caches of its own.
func newStore(t *testing.T, c *rest.Config) *lease.Store {
	t.Helper()
	return newStoreUntil(t.Context(), t, c)
}

// newStoreUntil is a store whose caches get no more news once the context ends.
func newStoreUntil(ctx context.Context, t *testing.T, c *rest.Config) *lease.Store {
	t.Helper()
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = lease.Selector }))
	informer := factory.Coordination().V1().Leases().Informer()
	store, err := lease.New("one", client.CoordinationV1(), informer, clock.RealClock{}, func() time.Duration { return claimTTL }, nil)
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the informer never synced")
	}
	return store
}

var namespaces atomic.Int32

func newNamespace(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("leases-%d", namespaces.Add(1))
	if err := server.NewNamespace(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		c := config(t)
		return storetest.Fixture{
			Stores:     []engine.Store{newStore(t, c), newStore(t, c)},
			Namespaces: [2]string{newNamespace(t), newNamespace(t)},
		}
	})
}

// fixture is a queue whose slot 0 is held by run-1.
type fixture struct {
	*testing.T
	store  *lease.Store
	leases coordinationclient.LeaseInterface
	queue  engine.Repository
	slot   queue.Slot
}

// newFixture: taps spoil what the store does later on, not the first claim.
func newFixture(t *testing.T, taps ...wire.Tap) *fixture {
	t.Helper()
	c := config(t)
	namespace := newNamespace(t)
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		T: t, store: newStore(t, c), leases: client.CoordinationV1().Leases(namespace),
		queue: engine.Repository{Key: queue.Key{Namespace: namespace, Repository: "shop"}, UID: "uid-of-shop", Limit: 2},
	}
	f.slot = f.claim(queue.Slot{}, holder("run-1"))
	if len(taps) > 0 {
		f.store = newStore(t, wire.Through(c, taps...))
	}
	f.wantSlots(f.slot)
	return f
}

func holder(name string) queue.Holder {
	return queue.Holder{
		Name: name, UID: "uid-of-" + name,
		Event: queue.Event{ID: "e", Created: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)},
	}
}

func (f *fixture) claim(slot queue.Slot, h queue.Holder) queue.Slot {
	f.Helper()
	claimed, err := f.store.Claim(f.Context(), f.queue, slot, h)
	if err != nil {
		f.Fatalf("claim slot %d for %s: %v", slot.Index, h.Name, err)
	}
	return claimed
}

func (f *fixture) fresh() []queue.Slot {
	f.Helper()
	slots, err := f.store.List(f.Context(), f.queue.Key, queue.Fresh)
	if err != nil {
		f.Fatal(err)
	}
	return slots
}

// wantSlots wants these slots from a fresh listing, and from the cache soon.
func (f *fixture) wantSlots(want ...queue.Slot) {
	f.Helper()
	if diff := cmp.Diff(want, f.fresh()); diff != "" {
		f.Fatalf("fresh slots (-want +got):\n%s", diff)
	}
	var diff string
	for deadline := time.Now().Add(cacheDeadline); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		got, err := f.store.List(f.Context(), f.queue.Key, queue.Cached)
		if err != nil {
			f.Fatal(err)
		}
		if diff = cmp.Diff(want, got); diff == "" {
			return
		}
	}
	f.Fatalf("cached slots after %s (-want +got):\n%s", cacheDeadline, diff)
}

func (f *fixture) get() *coordinationv1.Lease {
	f.Helper()
	l, err := f.leases.Get(f.Context(), lease.Name("shop", 0), metav1.GetOptions{})
	if err != nil {
		f.Fatal(err)
	}
	return l
}

// edit changes the Lease of slot 0 as a person with kubectl would.
func (f *fixture) edit(change func(*coordinationv1.Lease)) *coordinationv1.Lease {
	f.Helper()
	l := f.get()
	change(l)
	l, err := f.leases.Update(f.Context(), l, metav1.UpdateOptions{})
	if err != nil {
		f.Fatalf("edit: %v", err)
	}
	return l
}

func (f *fixture) delete() {
	f.Helper()
	if err := f.leases.Delete(f.Context(), lease.Name("shop", 0), metav1.DeleteOptions{}); err != nil {
		f.Fatal(err)
	}
}

// `kubectl get leases` is to read as the slot table.
func TestLeaseReadsAsSlot(t *testing.T) {
	f := newFixture(t)
	l := f.get()
	if got := ptr.Deref(l.Spec.HolderIdentity, ""); got != "run-1" {
		t.Errorf("holder is %q, want run-1", got)
	}
	if got, want := ptr.Deref(l.Spec.LeaseDurationSeconds, 0), int32(claimTTL.Seconds()); got != want {
		t.Errorf("duration is %d s, want %d s", got, want)
	}
	if l.Spec.AcquireTime == nil {
		t.Error("there is no acquire time")
	}
	if len(l.OwnerReferences) != 1 || l.OwnerReferences[0].Name != "shop" || string(l.OwnerReferences[0].UID) != f.queue.UID {
		t.Errorf("owners are %+v, want Repository shop alone", l.OwnerReferences)
	}
	if writer, moved := lease.Moved(nil, l); writer != "one" || !moved {
		t.Errorf("claimed by %q, moved: %t; want one", writer, moved)
	}
	foreign := l.DeepCopy()
	foreign.Annotations = nil
	if _, moved := lease.Moved(foreign, l); !moved {
		t.Error("a slot that was repaired has not moved")
	}
	if _, moved := lease.Moved(l, l); moved {
		t.Error("a slot that stays as it is has moved")
	}
	before := l
	if err := f.store.Release(t.Context(), f.queue, f.slot); err != nil {
		t.Fatal(err)
	}
	if l = f.get(); l.Spec.HolderIdentity != nil || l.Spec.AcquireTime != nil {
		t.Errorf("released, the Lease still says %+v", l.Spec)
	}
	if writer, moved := lease.Moved(before, l); writer != "one" || !moved {
		t.Errorf("released by %q, moved: %t; want one", writer, moved)
	}
}

// Without its labels a Lease is in no list, and the slot looks as if it did not
// exist. The replica that then creates it gives the labels back, and overwrites nothing.
func TestLabelsTakenOff(t *testing.T) {
	for name, takeOff := range map[string]func(*coordinationv1.Lease){
		"labels":                 func(l *coordinationv1.Lease) { l.Labels = nil },
		"the managed-by label":   func(l *coordinationv1.Lease) { delete(l.Labels, "app.kubernetes.io/managed-by") },
		"the managed-by value":   func(l *coordinationv1.Lease) { l.Labels["app.kubernetes.io/managed-by"] = "helm" },
		"labels and annotations": func(l *coordinationv1.Lease) { l.Labels, l.Annotations = nil, nil },
		"the repository annotation": func(l *coordinationv1.Lease) {
			l.Annotations["pac-lease-queue.dev/repository"] = "another"
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.edit(func(l *coordinationv1.Lease) {
				l.Annotations["pac-lease-queue.dev/replica"] = "another"
				takeOff(l)
			})
			f.wantSlots()
			if _, err := f.store.Claim(t.Context(), f.queue, queue.Slot{}, holder("run-2")); !errors.Is(err, engine.ErrStale) {
				t.Fatalf("claim of the hidden slot: %v, want ErrStale", err)
			}
			slots := f.fresh()
			if len(slots) != 1 {
				t.Fatalf("slots after the claim was refused: %+v, want slot 0 back", slots)
			}
			f.wantSlots(slots...)
			if got := f.get().Annotations["pac-lease-queue.dev/replica"]; got != "one" {
				t.Errorf("the slot says that %q wrote it, want one", got)
			}
			if name == "labels and annotations" {
				if slots[0].Damaged == "" {
					t.Errorf("slot is %+v, want it damaged: it lost the UID of its holder", slots[0])
				}
			} else if diff := cmp.Diff(f.slot.Holder, slots[0].Holder); diff != "" || slots[0].Transition != f.slot.Transition {
				t.Errorf("transition was %d and is %d; holder (-before +after):\n%s", f.slot.Transition, slots[0].Transition, diff)
			}
			f.wantSlots(f.claim(slots[0], holder("run-2")))
		})
	}
}

// A Lease of another product that has a slot's name is in the way, and stays as
// it is.
func TestForeignLease(t *testing.T) {
	for name, foreign := range map[string]coordinationv1.Lease{
		"bare":        {},
		"with holder": {Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("intruder")}},
		"owned by another Repository": {ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository", Name: "shop", UID: "uid-of-the-one-before",
		}}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.delete()
			foreign.Name = lease.Name("shop", 0)
			before, err := f.leases.Create(t.Context(), &foreign, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			f.wantSlots()
			_, err = f.store.Claim(t.Context(), f.queue, queue.Slot{}, holder("run-2"))
			if !errors.Is(err, engine.ErrBlocked) || errors.Is(err, engine.ErrStale) {
				t.Fatalf("claim: %v, want ErrBlocked alone", err)
			}
			if want := f.queue.Key.Namespace + "/shop.slot-0"; !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not name %s", err, want)
			}
			if diff := cmp.Diff(before, f.get()); diff != "" {
				t.Errorf("foreign Lease (-before +after):\n%s", diff)
			}
			f.wantSlots(f.claim(queue.Slot{Index: 1}, holder("run-2")))
		})
	}
}

// Whatever a user writes into a Lease, it reads as a slot, and the next write
// puts everything right.
func TestEditedByHand(t *testing.T) {
	annotate := func(key, value string) func(*coordinationv1.Lease) {
		return func(l *coordinationv1.Lease) { l.Annotations["pac-lease-queue.dev/"+key] = value }
	}
	for name, c := range map[string]struct {
		edit    func(*coordinationv1.Lease)
		damaged string
		holder  string // if not damaged
	}{
		"another holder": {edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To("intruder") }, holder: "intruder"},
		"no holder":      {edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil }},
		"no UID": {
			edit:    func(l *coordinationv1.Lease) { delete(l.Annotations, "pac-lease-queue.dev/run-uid") },
			damaged: "names run-1 without its UID",
		},
		"attempt a word":   {edit: annotate("attempt", "first"), damaged: `"first", which is not a number`},
		"attempt negative": {edit: annotate("attempt", "-1"), damaged: `"-1", which is not a number`},
		"attempt absurd":   {edit: annotate("attempt", "99999999999999999999"), damaged: "not a number"},
		"event garbage":    {edit: annotate("event", "yesterday"), holder: "run-1"},
		"spec emptied":     {edit: func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} }},
		"transitions gone": {edit: func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = nil }, holder: "run-1"},
		"transitions at their end": {edit: func(l *coordinationv1.Lease) {
			l.Spec.LeaseTransitions = ptr.To[int32](math.MaxInt32)
		}, holder: "run-1"},
		"orphaned": {edit: func(l *coordinationv1.Lease) { l.OwnerReferences = nil }, holder: "run-1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			l := f.edit(c.edit)
			slots := f.fresh()
			if len(slots) != 1 || slots[0].Index != 0 || !strings.HasPrefix(slots[0].Version, l.ResourceVersion) {
				t.Fatalf("slots are %+v, want slot 0 at version %s", slots, l.ResourceVersion)
			}
			slot := slots[0]
			f.wantSlots(slot)
			if (slot.Damaged != "") != (c.damaged != "") || !strings.Contains(slot.Damaged, c.damaged) {
				t.Errorf("damage is %q, want %q in it", slot.Damaged, c.damaged)
			}
			if got := ptr.Deref(slot.Holder, queue.Holder{}).Name; got != c.holder {
				t.Errorf("holder is %q, want %q", got, c.holder)
			}
			if _, err := f.store.Claim(t.Context(), f.queue, f.slot, holder("late")); !errors.Is(err, engine.ErrStale) {
				t.Errorf("claim by the version before the edit: %v, want ErrStale", err)
			}

			claimed := f.claim(slot, holder("run-2"))
			f.wantSlots(claimed)
			l = f.get()
			if len(l.OwnerReferences) != 1 || ptr.Deref(l.Spec.LeaseDurationSeconds, 0) == 0 || l.Spec.AcquireTime == nil {
				t.Errorf("claimed anew, the Lease is not whole: %+v %+v", l.OwnerReferences, l.Spec)
			}
			if err := f.store.Release(t.Context(), f.queue, claimed); err != nil {
				t.Errorf("release: %v", err)
			}
		})
	}
}

// What a user made from one of our Leases under another name is no slot.
func TestCopiedLease(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"shop", "shop.slot", "shop.slot-00", "shop.slot-x-1", "shop.slot-1.bak", "copy-of-shop.slot-1"} {
		l := f.get()
		l.ObjectMeta = metav1.ObjectMeta{Name: name, Labels: l.Labels, Annotations: l.Annotations}
		if _, err := f.leases.Create(t.Context(), l, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.wantSlots(f.slot)
}

func TestDeletedByHand(t *testing.T) {
	f := newFixture(t)
	f.delete()
	if _, err := f.store.Claim(t.Context(), f.queue, f.slot, holder("run-2")); !errors.Is(err, engine.ErrStale) {
		t.Errorf("claim: %v, want ErrStale", err)
	}
	if err := f.store.Release(t.Context(), f.queue, f.slot); !errors.Is(err, engine.ErrStale) {
		t.Errorf("release: %v, want ErrStale", err)
	}
	if err := f.store.Remove(t.Context(), f.queue, f.slot); !errors.Is(err, engine.ErrStale) {
		t.Errorf("remove: %v, want ErrStale", err)
	}
	f.wantSlots()
	f.wantSlots(f.claim(queue.Slot{}, holder("run-2")))
}

// TestRefusedWrite: after a write that was refused because the slot has moved, the next look has
// the slot as it is, however late the news of it are.
func TestRefusedWrite(t *testing.T) {
	for name, write := range map[string]func(*lease.Store, *fixture) error{
		"claim": func(s *lease.Store, f *fixture) error {
			_, err := s.Claim(f.Context(), f.queue, f.slot, holder("run-2"))
			return err
		},
		"release": func(s *lease.Store, f *fixture) error { return s.Release(f.Context(), f.queue, f.slot) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			ctx, deafen := context.WithCancel(t.Context())
			deaf := newStoreUntil(ctx, t, config(t))
			deafen()
			moved := f.claim(f.slot, holder("run-3"))
			if err := write(deaf, f); !errors.Is(err, engine.ErrStale) {
				t.Fatalf("error %v, want ErrStale", err)
			}
			got, err := deaf.List(t.Context(), f.queue.Key, queue.Cached)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]queue.Slot{moved}, got); diff != "" {
				t.Errorf("cached slots (-want +got):\n%s", diff)
			}
		})
	}
}

// A write whose reply is lost fails, is no proof of anything, and is there when
// one looks: the same write again is refused.
func TestLostReplies(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		verb  string
		write func(*fixture) error
		want  func(queue.Slot) []queue.Slot // given slot 0 as it was
	}{
		"create": {
			"create",
			func(f *fixture) error {
				_, err := f.store.Claim(ctx, f.queue, queue.Slot{Index: 1}, holder("run-2"))
				return err
			},
			func(s queue.Slot) []queue.Slot {
				return []queue.Slot{s, {Index: 1, Transition: 1, Holder: ptr.To(holder("run-2"))}}
			},
		},
		"hand over": {
			"update",
			func(f *fixture) error {
				_, err := f.store.Claim(ctx, f.queue, f.slot, holder("run-2"))
				return err
			},
			func(queue.Slot) []queue.Slot { return []queue.Slot{{Transition: 2, Holder: ptr.To(holder("run-2"))}} },
		},
		"release": {
			"update",
			func(f *fixture) error { return f.store.Release(ctx, f.queue, f.slot) },
			func(queue.Slot) []queue.Slot { return []queue.Slot{{Transition: 1}} },
		},
		"remove": {
			"delete",
			func(f *fixture) error { return f.store.Remove(ctx, f.queue, f.slot) },
			func(queue.Slot) []queue.Slot { return nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			var once atomic.Bool
			first := func(r wire.Request) bool {
				return r.Resource == "leases" && r.Verb == c.verb && once.CompareAndSwap(false, true)
			}
			f := newFixture(t, wire.When(first, wire.LoseReply))
			want := c.want(f.slot)

			err := c.write(f)
			if !errors.Is(err, wire.ErrReplyLost) || errors.Is(err, engine.ErrStale) {
				t.Fatalf("the write whose reply is lost: %v, want that and not ErrStale", err)
			}
			got := f.fresh()
			for i := range want {
				if i < len(got) && want[i].Version == "" {
					want[i].Version = got[i].Version
				}
			}
			f.wantSlots(want...)
			if err := c.write(f); !errors.Is(err, engine.ErrStale) {
				t.Errorf("the same write again: %v, want ErrStale", err)
			}
			f.wantSlots(want...)
		})
	}
}
