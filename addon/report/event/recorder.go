package event

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/lru"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Recorder passes each event on just once, as long as it remembers. It is safe for concurrent use.
type Recorder struct {
	to   Sink
	mu   sync.Mutex // between looking up and adding
	told *lru.Cache
}

// remembered bounds the memory of what was told already.
const remembered = 8192

// NewRecorder returns a Recorder that passes events on to a sink.
func NewRecorder(to Sink) *Recorder { return &Recorder{to: to, told: lru.New(remembered)} }

// MaxMessage is how many bytes the API server accepts. Messages quote annotations and refusals,
// which may be longer.
const MaxMessage = 1024

// Record implements Sink.
func (r *Recorder) Record(e Event) {
	e.Message = queue.Clip(e.Message, MaxMessage)
	r.mu.Lock()
	_, again := r.told.Get(e)
	r.told.Add(e, nil)
	r.mu.Unlock()
	if !again {
		r.to.Record(e)
	}
}

// Forget has an event passed on again that was not written. A Warning comes again with the next
// look.
func (r *Recorder) Forget(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Remove(e)
}

// Writer writes events to the cluster.
type Writer struct{ Events record.EventRecorder }

// Record implements Sink.
func (w Writer) Record(e Event) {
	apiVersion, kind := "tekton.dev/v1", corev1.EventTypeNormal
	if e.Kind == Repository {
		apiVersion = "pipelinesascode.tekton.dev/v1alpha1"
	}
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	w.Events.Event(&corev1.ObjectReference{
		APIVersion: apiVersion, Kind: string(e.Kind), Namespace: e.Key.Namespace, Name: e.Name, UID: types.UID(e.UID),
	}, kind, string(e.Reason), e.Message)
}
