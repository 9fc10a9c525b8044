package lease

import (
	"context"
	"fmt"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// indexQueue finds the Leases of a queue in the informer.
const indexQueue = "pac-lease-queue"

// ownWrites is how long the store remembers its own writes, and what refused ones have shown, in
// case the informer has not seen them yet. That only saves refused writes.
const ownWrites = 30 * time.Second

// Store is the [engine.Store] on Leases. It is safe for concurrent use.
type Store struct {
	replica  string
	leases   coordinationclient.LeasesGetter
	informer cache.SharedIndexInformer
	written  cache.MutationCache
	clock    clock.PassiveClock
	ttl      func() time.Duration
	gate     *paged.Gate
	fresh    *paged.Shared[map[string][]queue.Slot] // lists, by the names of queues
}

var _ engine.Store = (*Store)(nil)

// New returns the store of a replica. It reads through the informer, which must select [Selector],
// trim with [Trim] and not have been started yet. ttl returns what goes into a claim's
// leaseDurationSeconds. The gate is shared by all that read long lists; nil for none.
func New(replica string, leases coordinationclient.LeasesGetter, informer cache.SharedIndexInformer, c clock.PassiveClock,
	ttl func() time.Duration, gate *paged.Gate,
) (*Store, error) {
	if err := informer.AddIndexers(cache.Indexers{indexQueue: byQueue}); err != nil {
		return nil, fmt.Errorf("index Leases by queue: %w", err)
	}
	written := cache.NewIntegerResourceVersionMutationCache(klog.Background(), informer.GetStore(), informer.GetIndexer(), ownWrites, false)
	s := &Store{replica: replica, leases: leases, informer: informer, written: written, clock: c, ttl: ttl, gate: gate}
	s.fresh = &paged.Shared[map[string][]queue.Slot]{Read: s.list, Most: mostShared, Timeout: sharedTimeout, Alone: gate == nil}
	return s, nil
}

// KeyOf returns the queue of an object from the informer.
func KeyOf(obj any) (queue.Key, bool) {
	if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
		obj = tombstone.Obj
	}
	l, ok := obj.(*coordinationv1.Lease)
	if !ok {
		return queue.Key{}, false
	}
	return keyOf(l)
}

// CanWait reports whether news of a Lease can wait for a moment: that a slot names a run makes no
// room.
func CanWait(obj any) bool {
	l, ok := obj.(*coordinationv1.Lease)
	if !ok {
		return false
	}
	_, slot, ours := Decode(l)
	return ours && slot.Holder != nil
}

// Moved says whether a replica has claimed, emptied or repaired a slot between two versions of an
// object of the informer, and which one it was: the last, if there were several. was is nil for a
// new Lease.
func Moved(was, is any) (replica string, moved bool) {
	after, ok := is.(*coordinationv1.Lease)
	if !ok {
		return "", false
	}
	replica = after.Annotations[keyReplica]
	before, existed := was.(*coordinationv1.Lease)
	if !existed {
		return replica, true
	}
	if _, ours := keyOf(before); !ours {
		return replica, true
	}
	from, to := decode(before), decode(after)
	return replica, from.Transition != to.Transition || from.Holder != nil && to.Holder == nil ||
		unusable(from) && !unusable(to)
}

// unusable says that the slot cannot be claimed as it is.
func unusable(s queue.Slot) bool { return s.Blocked || s.Damaged != "" }

// Keys lists the queues that have slots.
func (s *Store) Keys() []queue.Key {
	var keys []queue.Key
	for _, name := range s.informer.GetIndexer().ListIndexFuncValues(indexQueue) {
		keys = append(keys, queue.ParseKey(name))
	}
	return keys
}

// List implements engine.Store.
func (s *Store) List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]queue.Slot, error) {
	var slots []queue.Slot
	if freshness == queue.Fresh {
		// Hundreds of queues may have their first claims at the same time.
		all, err := s.fresh.List(ctx, key.Namespace, key.Repository)
		return slices.Clone(all[key.Repository]), err
	}
	objects, err := s.written.ByIndex(indexQueue, key.String())
	if err != nil {
		return nil, err
	}
	for _, obj := range objects {
		slots = append(slots, decode(obj.(*coordinationv1.Lease)))
	}
	return slots, nil
}

const (
	// mostShared is how many queues share one list, and sharedTimeout bounds that.
	mostShared, sharedTimeout = 500, time.Minute
)

// list reads the slots of some queues of a namespace.
func (s *Store) list(ctx context.Context, namespace string, names []string) (map[string][]queue.Slot, error) {
	all := map[string][]queue.Slot{}
	for _, name := range names {
		all[name] = nil
	}
	err := paged.Each(ctx, s.gate, pages(s.leases, namespace), func(l *coordinationv1.Lease) {
		key, ours := keyOf(l)
		if _, wanted := all[key.Repository]; ours && wanted && key.Namespace == namespace {
			all[key.Repository] = append(all[key.Repository], decode(l))
		}
	})
	return all, err
}

// pages lists the Leases of this product in a namespace ("" is all), whole.
func pages(leases coordinationclient.LeasesGetter, namespace string) paged.List[coordinationv1.Lease] {
	read := func(ctx context.Context, o metav1.ListOptions) ([]coordinationv1.Lease, string, error) {
		list, err := leases.Leases(namespace).List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		return list.Items, list.Continue, nil
	}
	return paged.List[coordinationv1.Lease]{
		Namespace: namespace, Options: metav1.ListOptions{LabelSelector: Selector}, Read: read, Size: (*coordinationv1.Lease).Size,
	}
}

// Lasting implements engine.Store.
func (*Store) Lasting() bool { return true }

// Claim implements engine.Store.
func (s *Store) Claim(ctx context.Context, q engine.Repository, slot queue.Slot, holder queue.Holder) (queue.Slot, error) {
	l := encode(q, slot, &holder, nextTransition(slot.Transition), s.clock.Now(), s.ttl())
	written, err := s.write(ctx, q, l)
	if err != nil {
		return queue.Slot{}, err
	}
	return decode(written), nil
}

// Release implements engine.Store.
func (s *Store) Release(ctx context.Context, q engine.Repository, slot queue.Slot) error {
	_, err := s.write(ctx, q, encode(q, slot, nil, slot.Transition, s.clock.Now(), s.ttl()))
	return err
}

// Remove implements engine.Store.
func (s *Store) Remove(ctx context.Context, q engine.Repository, slot queue.Slot) error {
	resourceVersion, uid := readVersion(slot.Version)
	err := s.leases.Leases(q.Key.Namespace).Delete(ctx, Name(q.Key.Repository, slot.Index), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{ResourceVersion: &resourceVersion, UID: &uid},
	})
	return stale(err)
}

// write creates the Lease if it carries no version and updates it otherwise.
func (s *Store) write(ctx context.Context, q engine.Repository, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	l.Annotations[keyReplica] = s.replica
	var written *coordinationv1.Lease
	var err error
	if l.ResourceVersion == "" {
		written, err = s.leases.Leases(l.Namespace).Create(ctx, l, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil, s.reclaim(ctx, q, l)
		}
	} else {
		written, err = s.leases.Leases(l.Namespace).Update(ctx, l, metav1.UpdateOptions{})
	}
	if apierrors.IsConflict(err) {
		s.learn(ctx, l)
	}
	if err != nil {
		return nil, stale(err)
	}
	s.written.Mutation(trim(written))
	return written, nil
}

// learn reads a Lease that is not as it was observed, and shows it to the next looks: the news of
// it may take seconds.
func (s *Store) learn(ctx context.Context, observed *coordinationv1.Lease) {
	if l, err := s.leases.Leases(observed.Namespace).Get(ctx, observed.Name, metav1.GetOptions{}); err == nil && l.UID == observed.UID {
		s.written.Mutation(trim(l))
	}
}

// reclaim handles a Lease that exists although no list of slots shows it: either a slot lost its
// labels by hand, or another product uses the name. It restores the labels of a slot.
func (s *Store) reclaim(ctx context.Context, q engine.Repository, wanted *coordinationv1.Lease) error {
	l, err := s.leases.Leases(wanted.Namespace).Get(ctx, wanted.Name, metav1.GetOptions{})
	if err != nil {
		return stale(err)
	}
	if k, ok := keyOf(l); ok && k == q.Key {
		return engine.ErrStale // a slot that the cache has not seen yet
	}
	ours := false
	for _, owner := range l.OwnerReferences {
		ours = ours || owner.UID == wanted.OwnerReferences[0].UID
	}
	if !ours {
		return fmt.Errorf("%w: Lease %s/%s is not a slot of Repository %s; delete it, because the queue needs its name",
			engine.ErrBlocked, l.Namespace, l.Name, q.Key.Repository)
	}
	// Only what marks the Lease as a slot is restored; the next look reads its holder.
	l = l.DeepCopy()
	if l.Labels == nil {
		l.Labels = map[string]string{}
	}
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	for k, v := range wanted.Labels {
		l.Labels[k] = v
	}
	l.Annotations[keyRepository], l.Annotations[keyReplica] = q.Key.Repository, s.replica
	if _, err := s.leases.Leases(l.Namespace).Update(ctx, l, metav1.UpdateOptions{}); err != nil {
		return stale(err)
	}
	return engine.ErrStale
}

// stale translates a failed precondition. Any other error is returned unchanged: it does not say
// whether the write happened.
func stale(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: %w", engine.ErrStale, err)
	}
	return err
}

func byQueue(obj any) ([]string, error) {
	if key, ok := KeyOf(obj); ok {
		return []string{key.String()}, nil
	}
	return nil, nil
}
