package event

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
)

// Config holds what a Recorder works with; all of it is required.
type Config struct {
	// Cluster is where events are written.
	Cluster record.EventSink
	// Source is who writes them.
	Source corev1.EventSource
	Clock  clock.Clock
	// Pace is how fast they are written.
	Pace *pace.Pace
	// LeftOut is told of every event that will not be written. It must not wait for anything.
	LeftOut func(Cause)
}

// Recorder writes events to the cluster, each just once as long as it remembers. It is safe for
// concurrent use.
type Recorder struct {
	Config
	// related makes one of events that are alike, and keeps an object from having too many.
	related *record.EventCorrelator
	outbox  *outbox

	mu   sync.Mutex // between looking up and adding
	told *lru.Cache
}

var _ Sink = (*Recorder)(nil)

const (
	// remembered bounds the memory of what was told already.
	remembered = 8192
	// tries is how often it is tried to write an event while the API server does not answer.
	tries = 12
	// pause is the time between two of them.
	pause = 10 * time.Second
)

// NewRecorder returns a Recorder. It writes nothing before it runs.
func NewRecorder(c Config) *Recorder {
	r := &Recorder{Config: c, related: record.NewEventCorrelator(c.Clock), told: lru.New(remembered)}
	r.outbox = newOutbox(mostWaiting, r.leaveOut)
	return r
}

// MaxMessage is how many bytes the API server accepts. Messages quote annotations and refusals,
// which may be longer.
const MaxMessage = 1024

// Record has the event written unless it was before. It waits for nothing. What is said of the
// configuration is written however often it is said: whoever does so knows when it is news.
func (r *Recorder) Record(e Event) {
	e.Message = queue.Clip(e.Message, MaxMessage)
	r.mu.Lock()
	_, again := r.told.Get(e)
	r.told.Add(e, nil)
	r.mu.Unlock()
	if !again || e.Kind == ConfigMap {
		r.outbox.put(waiting{e, r.Clock.Now()})
	}
}

// leaveOut counts an event that is not written. What was never told may be told again, as long as
// it is so.
func (r *Recorder) leaveOut(e Event, why Cause) {
	r.LeftOut(why)
	if why == CauseFull {
		r.mu.Lock()
		r.told.Remove(e)
		r.mu.Unlock()
	}
}

// Run writes until the context ends.
func (r *Recorder) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.outbox.news:
			r.Flush(ctx)
		}
	}
}

// Flush writes what waits. Only after its token has come is it decided which event is written.
func (r *Recorder) Flush(ctx context.Context) {
	for r.outbox.len() > 0 && r.Pace.Take(ctx) == nil {
		if w, ok := r.outbox.next(); ok {
			r.write(ctx, w)
		}
	}
}

// write writes an event, which has its token. While the API server cannot be reached, no other
// could be written either.
func (r *Recorder) write(ctx context.Context, w waiting) {
	related, err := r.related.EventCorrelate(w.made(r.Source))
	if err != nil {
		klog.FromContext(ctx).V(1).Info("event not related to those before it", "reason", err.Error())
	}
	if related.Skip {
		r.leaveOut(w.Event, CauseFrequent)
		return
	}
	for again := range tries {
		if again > 0 && !r.rest(ctx) {
			return
		}
		written, err := r.send(related)
		if err == nil {
			r.related.UpdateState(written)
			return
		}
		log := klog.FromContext(ctx)
		if !isFinal(err) {
			log = log.V(1) // another try follows
		}
		log.Info("event not written", "on", w.Key.String(), "event", string(w.Reason), "reason", err.Error())
		switch {
		case again > 0 && apierrors.IsAlreadyExists(err): // it was written, and the reply was lost
			return
		case isFinal(err):
			r.leaveOut(w.Event, CauseFailed)
			return
		}
	}
	r.leaveOut(w.Event, CauseFailed)
}

// send writes an event once. Each has a name of its own, and counts are written as totals: whatever
// became of an earlier try, this one tells nothing twice.
func (r *Recorder) send(e *record.EventCorrelateResult) (*corev1.Event, error) {
	if e.Event.Count > 1 {
		written, err := r.Cluster.Patch(e.Event, e.Patch)
		if !util.IsKeyNotFoundError(err) {
			return written, err
		}
	}
	e.Event.ResourceVersion = "" // of the one that has expired, if any
	return r.Cluster.Create(e.Event)
}

// isFinal says that the API server has answered, and would answer the same again.
func isFinal(err error) bool {
	var construction *rest.RequestConstructionError
	var answer *apierrors.StatusError
	busy := apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsTimeout(err)
	return errors.As(err, &construction) || errors.As(err, &answer) && !busy
}

// rest waits before another try, and for its token; false if the context ends before that.
func (r *Recorder) rest(ctx context.Context) bool {
	timer := r.Clock.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return r.Pace.Take(ctx) == nil
	}
}

// made is the event as the API server has it.
func (w waiting) made(by corev1.EventSource) *corev1.Event {
	kind := corev1.EventTypeNormal
	if w.Warning {
		kind = corev1.EventTypeWarning
	}
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: util.GenerateEventName(w.Name, w.at.UnixNano()), Namespace: w.Key.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: w.Kind.apiVersion(), Kind: string(w.Kind), Namespace: w.Key.Namespace, Name: w.Name, UID: types.UID(w.UID),
		},
		Reason: string(w.Reason), Message: w.Message, Type: kind, Source: by, ReportingController: by.Component, ReportingInstance: by.Host,
		FirstTimestamp: metav1.NewTime(w.at), LastTimestamp: metav1.NewTime(w.at), Count: 1,
	}
}

func (k Kind) apiVersion() string {
	switch k {
	case ConfigMap:
		return "v1"
	case Repository:
		return "pipelinesascode.tekton.dev/v1alpha1"
	case RunQueue:
		return "pac-lease-queue.dev/v1alpha1"
	case PipelineRun:
	}
	return "tekton.dev/v1"
}
