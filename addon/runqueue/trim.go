package runqueue

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
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
type Trimmer struct {
	mu     sync.Mutex
	spaces map[string]*space
}

// space is what the cache keeps of one namespace.
type space struct {
	bytes int
	of    map[types.UID]int
}

// NewTrimmer returns a Trimmer that keeps nothing yet.
func NewTrimmer() *Trimmer { return &Trimmer{spaces: map[string]*space{}} }

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
	if !t.takeRoom(rq) {
		trimmed.Spec.Priorities, trimmed.Annotations[noRoom] = nil, "true"
	}
	return trimmed, nil
}

// mostConditions is how many conditions this product writes, and some.
const mostConditions = 8

// takeRoom says whether there is room for the conditions of the priorities.
func (t *Trimmer) takeRoom(rq *v1alpha1.RunQueue) bool {
	bytes := 0
	for _, r := range rq.Spec.Priorities {
		bytes += len(r.When)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(rq)
	if bytes == 0 {
		return true
	}
	s := t.spaces[rq.Namespace]
	if s == nil {
		s = &space{of: map[types.UID]int{}}
		t.spaces[rq.Namespace] = s
	}
	if s.bytes+bytes > namespaceBudget {
		return false
	}
	s.bytes += bytes
	s.of[rq.UID] = bytes
	return true
}

// Follow makes room again for the RunQueues that the informer drops.
func (t *Trimmer) Follow(informer cache.SharedIndexInformer) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if tombstone, gone := obj.(cache.DeletedFinalStateUnknown); gone {
			obj = tombstone.Obj
		}
		if rq, ok := obj.(*v1alpha1.RunQueue); ok {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.forget(rq)
		}
	}})
	return err
}

func (t *Trimmer) forget(rq *v1alpha1.RunQueue) {
	s := t.spaces[rq.Namespace]
	if s == nil {
		return
	}
	s.bytes -= s.of[rq.UID]
	if delete(s.of, rq.UID); len(s.of) == 0 {
		delete(t.spaces, rq.Namespace)
	}
}

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
