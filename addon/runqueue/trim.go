package runqueue

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// bounds are the annotations that are kept of a RunQueue, and how many bytes of each.
var bounds = map[string]int{PausedBy: 128, PauseReason: 256}

// What a trimmed RunQueue has in place of its status, and in place of priorities for which its
// namespace has no room. No client can set them, since no other annotations are copied.
const (
	statusHash = "pac-lease-queue.dev/status-hash"
	noRoom     = "pac-lease-queue.dev/no-room"
)

// namespaceBudget is how many bytes of conditions the cache keeps of the RunQueues of one
// namespace: of 64 that are as long as they may be, or of thousands as people write them.
const namespaceBudget = 1 << 20

// mostMessage is how much of a message of a condition is kept.
const mostMessage = 1024

// Trimmer reduces the RunQueues of an informer to what [Shapes] read, within a budget for each
// namespace. It is safe for concurrent use.
type Trimmer struct{ kept *budget.Budget }

// NewTrimmer returns a Trimmer that keeps nothing yet.
func NewTrimmer() *Trimmer { return &Trimmer{budget.New(namespaceBudget)} }

// Trim takes every object before the informer has it.
func (t *Trimmer) Trim(obj any) (any, error) {
	rq, ok := obj.(*v1alpha1.RunQueue)
	if !ok {
		return obj, nil // a tombstone: its object has been trimmed already
	}
	trimmed := &v1alpha1.RunQueue{
		ObjectMeta: metav1.ObjectMeta{
			Name: rq.Name, Namespace: rq.Namespace, UID: rq.UID, ResourceVersion: rq.ResourceVersion, Generation: rq.Generation,
			Annotations: map[string]string{statusHash: Hash(rq.Status)},
		},
		Spec: rq.Spec,
	}
	for key, most := range bounds {
		if value, present := rq.Annotations[key]; present {
			trimmed.Annotations[key] = intern(queue.Clip(value, most))
		}
	}
	for _, c := range rq.Status.Conditions[:min(len(rq.Status.Conditions), mostConditions)] {
		c.Type, c.Reason = intern(queue.Clip(c.Type, 64)), intern(queue.Clip(c.Reason, 64))
		c.Message = intern(queue.Clip(c.Message, mostMessage))
		trimmed.Status.Conditions = append(trimmed.Status.Conditions, c)
	}
	bytes := 0
	for _, r := range rq.Spec.Priorities {
		bytes += len(r.When)
	}
	if !t.kept.Take(rq, bytes) { // without room for the conditions
		trimmed.Spec.Priorities, trimmed.Annotations[noRoom] = nil, "true"
	}
	return trimmed, nil
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
