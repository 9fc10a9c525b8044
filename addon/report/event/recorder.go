package event

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/lru"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Recorder writes events to the cluster, each just once as long as it remembers.
// It is safe for concurrent use.
type Recorder struct {
	events record.EventRecorder
	mu     sync.Mutex // between looking up and adding
	told   *lru.Cache
}

// remembered bounds the memory of what was told already.
const remembered = 8192

// NewRecorder returns a Recorder that writes through events.
func NewRecorder(events record.EventRecorder) *Recorder {
	return &Recorder{events: events, told: lru.New(remembered)}
}

// MaxMessage is how many bytes the API server accepts. Messages quote annotations and refusals,
// which may be longer.
const MaxMessage = 1024

// Record writes the event unless it was written before.
func (r *Recorder) Record(e Event) {
	e.Message = queue.Clip(e.Message, MaxMessage)
	r.mu.Lock()
	_, again := r.told.Get(e)
	r.told.Add(e, nil)
	r.mu.Unlock()
	if again {
		return
	}
	apiVersion, kind := "tekton.dev/v1", corev1.EventTypeNormal
	if e.Kind == Repository {
		apiVersion = "pipelinesascode.tekton.dev/v1alpha1"
	}
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	r.events.Event(&corev1.ObjectReference{
		APIVersion: apiVersion, Kind: string(e.Kind), Namespace: e.Key.Namespace, Name: e.Name, UID: types.UID(e.UID),
	}, kind, string(e.Reason), e.Message)
}
