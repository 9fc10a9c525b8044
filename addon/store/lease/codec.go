package lease

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Selector selects the Leases of this product.
const Selector = labelManagedBy + "=" + manager

const (
	manager        = "pac-lease-queue"
	labelManagedBy = "app.kubernetes.io/managed-by"

	// As labels, for people and selectors; as annotations, exact.
	keyRepository = "pac-lease-queue.dev/repository"
	keySlot       = "pac-lease-queue.dev/slot"

	keyRunUID  = "pac-lease-queue.dev/run-uid"
	keyAttempt = "pac-lease-queue.dev/attempt"
	keyEvent   = "pac-lease-queue.dev/event"
	// keyTurns are the groups of a fair queue, as [queue.Turns].
	keyTurns = "pac-lease-queue.dev/turns"
	// keyReplica is the replica that wrote the slot last. No claim depends on it.
	keyReplica = "pac-lease-queue.dev/replica"

	infix = ".slot-"

	// attemptBits keeps an attempt that was written by hand far enough below what a run may carry:
	// a fence has to exceed it.
	attemptBits = 29
)

// Name returns the name of a slot's Lease, e.g. "shop.slot-0".
func Name(repository string, index int) string {
	suffix := infix + strconv.Itoa(index)
	if excess := len(repository) + len(suffix) - validation.DNS1123SubdomainMaxLength; excess > 0 {
		repository = shorten(repository, len(repository)-excess)
	}
	return repository + suffix
}

// IndexOf is the reverse of Name: it returns the index of the slot that a Lease of that name is in
// the place of, if any.
func IndexOf(name, repository string) (int, bool) {
	index, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	return index, err == nil && index >= 0 && Name(repository, index) == name
}

// shorten cuts a name to at most n characters, with a hash to keep it unique.
func shorten(name string, n int) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	sum := fmt.Sprintf("-%08x", h.Sum32())
	return strings.TrimRight(name[:n-len(sum)], "-._") + sum
}

func labelValue(repository string) string {
	if len(validation.IsValidLabelValue(repository)) == 0 {
		return repository
	}
	return shorten(repository, validation.LabelValueMaxLength)
}

// Decode reads a Lease as the slot of a queue. It reports false for a Lease that is not a slot.
func Decode(l *coordinationv1.Lease) (queue.Key, queue.Slot, bool) {
	key, ok := keyOf(l)
	if !ok {
		return queue.Key{}, queue.Slot{}, false
	}
	return key, decode(l), true
}

// keyOf returns the queue of a Lease that is a slot. A Lease that has the labels of a slot but not
// its name is a copy.
func keyOf(l *coordinationv1.Lease) (queue.Key, bool) {
	repository := l.Annotations[keyRepository]
	_, named := indexOf(l)
	return queue.Key{Namespace: l.Namespace, Repository: repository},
		repository != "" && len(repository) <= bounds[keyRepository] && named && l.Labels[labelManagedBy] == manager
}

// indexOf returns the index in the name of a slot's Lease.
func indexOf(l *coordinationv1.Lease) (int, bool) {
	index, err := strconv.Atoi(l.Name[strings.LastIndex(l.Name, "-")+1:])
	return index, err == nil && index >= 0 && Name(l.Annotations[keyRepository], index) == l.Name
}

// version is the precondition of a write. It includes the UID, because an update of a Lease that
// does not exist creates it, no matter which resourceVersion it carries, unless it carries a UID as
// well (AllowCreateOnUpdate in pkg/registry/coordination/lease/strategy.go of Kubernetes).
func version(l *coordinationv1.Lease) string { return l.ResourceVersion + "/" + string(l.UID) }

// readVersion is the reverse of version. Both results are empty for a slot that does not exist.
func readVersion(s string) (resourceVersion string, uid types.UID) {
	resourceVersion, id, _ := strings.Cut(s, "/")
	return resourceVersion, types.UID(id)
}

// nextTransition counts up, and wraps to 0 above the highest number that a Lease can hold.
func nextTransition(n int) int { return (n + 1) & math.MaxInt32 }

// encode renders a slot as its whole Lease; holder may be nil.
func encode(q engine.Repository, slot queue.Slot, holder *queue.Holder, transition int, now time.Time,
	ttl time.Duration,
) *coordinationv1.Lease {
	resourceVersion, uid := readVersion(slot.Version)
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name:            Name(q.Key.Repository, slot.Index),
			Namespace:       q.Key.Namespace,
			ResourceVersion: resourceVersion,
			UID:             uid,
			OwnerReferences: []metav1.OwnerReference{owner(q)},
		},
		Spec: coordinationv1.LeaseSpec{
			LeaseDurationSeconds: ptr.To(int32(max(1, ttl/time.Second))),
			LeaseTransitions:     ptr.To(int32(transition)),
		},
	}
	label(l, q.Key.Repository, slot.Index)
	if len(slot.Turns) > 0 {
		l.Annotations[keyTurns] = slot.Turns.String()
	}
	if holder != nil {
		l.Spec.HolderIdentity = &holder.Name
		l.Spec.AcquireTime = &metav1.MicroTime{Time: now}
		l.Annotations[keyRunUID] = holder.UID
		l.Annotations[keyAttempt] = strconv.Itoa(holder.Attempt)
		l.Annotations[keyEvent] = encodeEvent(holder.Event)
	}
	return l
}

// owner is the Repository of a queue, or the RunQueue that makes it without one.
func owner(q engine.Repository) metav1.OwnerReference {
	kind := ownerKinds[0]
	if q.ByRunQueue {
		kind = ownerKinds[1]
	}
	return metav1.OwnerReference{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: q.Key.Repository, UID: types.UID(q.UID)}
}

// decode reads a Lease that keyOf accepts. It never fails: a Lease that cannot be read is a damaged
// slot.
func decode(l *coordinationv1.Lease) queue.Slot {
	l = trim(l)
	s := queue.Slot{Version: version(l), Transition: int(ptr.Deref(l.Spec.LeaseTransitions, 0))}
	s.Index, _ = indexOf(l)
	// Turns that cannot be read are forgotten: the groups start from nothing, and no slot is
	// damaged.
	s.Turns, _ = queue.ParseTurns(l.Annotations[keyTurns])
	name := ptr.Deref(l.Spec.HolderIdentity, "")
	if name == "" {
		return s
	}
	holder := queue.Holder{Name: name, UID: l.Annotations[keyRunUID]}
	if _, tooLong := queue.TooLong(holder.UID); tooLong || holder.UID == "" {
		s.Damaged = fmt.Sprintf("Lease %s names %s without its UID (annotation %s)", l.Name, name, keyRunUID)
		return s
	}
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		s.Damaged = fmt.Sprintf("Lease %s names %q, which is not a valid name of a PipelineRun", l.Name, name)
		return s
	}
	attempt, err := strconv.ParseUint(l.Annotations[keyAttempt], 10, attemptBits)
	if err != nil {
		s.Damaged = fmt.Sprintf("Lease %s has annotation %s=%q, which is not a number from 0 up", l.Name, keyAttempt,
			l.Annotations[keyAttempt])
		return s
	}
	holder.Attempt = int(attempt)
	// An event that cannot be read loses a hint for the order, but does not damage the slot.
	holder.Event, _ = decodeEvent(l.Annotations[keyEvent])
	s.Holder = &holder
	return s
}

// encodeEvent renders an event as its ID, its time and, if that has been written down, its arrival.
func encodeEvent(e queue.Event) string {
	text := e.ID + " " + e.Created.UTC().Format(time.RFC3339)
	if e.Arrived.Known() {
		text += " " + e.Arrived.String()
	}
	return text
}

func decodeEvent(s string) (queue.Event, error) {
	id, rest, _ := strings.Cut(s, " ")
	created, arrived, stamped := strings.Cut(rest, " ")
	e := queue.Event{ID: id}
	var err error
	if e.Created, err = time.Parse(time.RFC3339, created); err == nil && stamped {
		e.Arrived, err = queue.ParseArrival(arrived)
	}
	if err != nil {
		return queue.Event{}, fmt.Errorf("event %q: %w", s, err)
	}
	return e, nil
}
