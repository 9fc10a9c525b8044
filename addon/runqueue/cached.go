package runqueue

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"unique"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/budget"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Annotations of a RunQueue, for people. The plugin writes them.
const (
	// PausedBy is who paused the queue.
	PausedBy = "pac-lease-queue.dev/paused-by"
	// PauseReason is why.
	PauseReason = "pac-lease-queue.dev/pause-reason"
)

// mostBy and mostReason are how many bytes of the annotations are kept.
const mostBy, mostReason = 128, 256

// namespaceBudget is how many bytes of conditions the cache keeps of the RunQueues of one
// namespace: of 64 that are as long as they may be, or of thousands as people write them.
const namespaceBudget = 1 << 20

// mostMessage is how much of a message of a condition is kept.
const mostMessage = 1024

// Cached is what the cache keeps of a RunQueue. Most have no spec and nearly no annotations, and
// take a sixth of a RunQueue's memory. It never changes.
type Cached struct {
	key          queue.Key
	uid, version string
	wants        wants
	conditions   []metav1.Condition
	hash         string // of the status
}

// wants is what a RunQueue wants of its queue.
type wants struct {
	generation int64
	spec       *v1alpha1.RunQueueSpec
	// noRoom says that the spec's priorities are left out, because its namespace has no room.
	noRoom bool
	// pausedBy and reason are annotations.
	pausedBy, reason string
}

// nothing is the spec of most RunQueues.
var nothing v1alpha1.RunQueueSpec

// GetObjectMeta implements metav1.ObjectMetaAccessor: an informer tells objects apart by it. It has
// the identity and the version only.
func (c *Cached) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{
		Name: c.key.Repository, Namespace: c.key.Namespace, UID: types.UID(c.uid), ResourceVersion: c.version,
	}
}

// Key returns the queue of the RunQueue.
func (c *Cached) Key() queue.Key { return c.key }

// Trimmer reduces the RunQueues of an informer to what [Shapes] read, within a budget for each
// namespace. It is safe for concurrent use.
type Trimmer struct{ kept *budget.Budget }

// NewTrimmer returns a Trimmer that keeps nothing yet.
func NewTrimmer() *Trimmer { return &Trimmer{budget.New(namespaceBudget)} }

// Cache takes every object before the informer has it, and turns RunQueues into [Cached].
func (t *Trimmer) Cache(obj any) (any, error) {
	rq, ok := obj.(*v1alpha1.RunQueue)
	if !ok {
		return obj, nil // it is cached already, or a tombstone, whose object is
	}
	is := &Cached{
		key: queue.Key{Namespace: intern(rq.Namespace), Repository: rq.Name}, uid: string(rq.UID), version: rq.ResourceVersion,
		hash: Hash(rq.Status),
		wants: wants{
			generation: rq.Generation, spec: &nothing,
			pausedBy: queue.Clip(rq.Annotations[PausedBy], mostBy), reason: queue.Clip(rq.Annotations[PauseReason], mostReason),
		},
	}
	bytes := 0
	for _, r := range rq.Spec.Priorities {
		bytes += len(r.When)
	}
	spec := undefaulted(rq.Spec)
	if !t.kept.Take(rq, bytes) { // without room for the conditions
		spec.Priorities, is.wants.noRoom = nil, true
	}
	if !equality.Semantic.DeepEqual(spec, nothing) {
		is.wants.spec = &spec
	}
	kept := rq.Status.Conditions[:min(len(rq.Status.Conditions), mostConditions)]
	is.conditions = make([]metav1.Condition, len(kept))
	for i, c := range kept {
		c.Type, c.Reason = intern(queue.Clip(c.Type, 64)), intern(queue.Clip(c.Reason, 64))
		c.Status, c.Message = metav1.ConditionStatus(intern(string(c.Status))), intern(queue.Clip(c.Message, mostMessage))
		is.conditions[i] = c
	}
	return is, nil
}

// undefaulted is the spec without what means the same if it is left out.
func undefaulted(spec v1alpha1.RunQueueSpec) v1alpha1.RunQueueSpec {
	if spec.Order == v1alpha1.OrderEvents {
		spec.Order = ""
	}
	if spec.FairBy == v1alpha1.FairByBranch {
		spec.FairBy = ""
	}
	if spec.Waiting.Keep == v1alpha1.KeepAll {
		spec.Waiting.Keep = ""
	}
	return spec
}

// mostConditions is how many conditions this product writes, and some.
const mostConditions = 8

// Follow makes room again for the RunQueues that the informer drops.
func (t *Trimmer) Follow(informer cache.SharedIndexInformer) error { return t.kept.Follow(informer) }

// Hash tells statuses apart.
func Hash(s v1alpha1.RunQueueStatus) string {
	text, err := json.Marshal(s)
	if err != nil {
		return "" // it has nothing that JSON lacks
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func intern(text string) string { return unique.Make(text).Value() }
