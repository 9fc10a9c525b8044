package board

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/access"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/follow"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

//go:embed openapi.yaml
var openAPI []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI)
}

// document is what a request of the API is answered with.
type document func(*http.Request, *follow.Follower, access.Reader) (any, error)

const (
	// makers is how many documents are made at a time, and inFlight how many bytes of them are on
	// their way to readers: that of a long queue has megabytes.
	makers, inFlight = 2, 64 << 20
)

// api serves a document as JSON.
func (b *Board) api(of document) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := b.answer(r, of)
		if err != nil {
			failureOf(err).asJSON(w)
			return
		}
		weight := min(int64(len(text)), inFlight)
		if !b.flight.TryAcquire(weight) {
			failureOf(errTooFast).asJSON(w)
			return
		}
		defer b.flight.Release(weight)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(text) // the reader may be gone
	}
}

func (b *Board) answer(r *http.Request, of document) ([]byte, error) {
	reader, err := b.Access.Reader(r)
	if err != nil {
		return nil, err
	}
	f := b.following()
	if f == nil {
		return nil, errStarting
	}
	select {
	case b.making <- struct{}{}:
		defer func() { <-b.making }()
	case <-r.Context().Done():
		return nil, errTooFast
	}
	is, err := of(r, f, reader)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(is)
	return append(text, '\n'), err
}

// getNothing is what a path of the API asks for that leads nowhere.
func getNothing(*http.Request, *follow.Follower, access.Reader) (any, error) {
	return nil, errNothing{"No such path", "there is nothing at this path; /api/v1/openapi.yaml says what there is"}
}

// summary is a queue in the list.
type summary struct {
	Namespace  string `json:"namespace"`
	Repository string `json:"repository"`
	Limit      *int   `json:"limit,omitempty"`
	Paused     bool   `json:"paused,omitempty"`
	Running    int    `json:"running"`
	Waiting    int    `json:"waiting"`
	// Oldest is when the run came that has waited for the longest time.
	Oldest   string `json:"oldest,omitempty"`
	Next     string `json:"next,omitempty"`
	Problems int    `json:"problems,omitempty"`
}

// listQueues answers with all queues that the reader sees, or those of one namespace.
func (b *Board) listQueues(r *http.Request, f *follow.Follower, reader access.Reader) (any, error) {
	rows := b.list(f)
	seen, err := reader.SeesOf(r.Context(), namespacesOf(rows))
	if err != nil {
		return nil, err
	}
	only := r.URL.Query().Get("namespace")
	summaries := []summary{}
	for _, row := range visible(rows, seen) {
		if only == "" || row.Key.Namespace == only {
			summaries = append(summaries, summaryOf(row))
		}
	}
	return view.NewList(summaries), nil
}

func summaryOf(r page.Row) summary {
	s := summary{
		Namespace: r.Key.Namespace, Repository: r.Key.Repository, Paused: r.Paused, Running: r.InUse, Waiting: r.Waiting, Next: r.Next,
		Problems: r.Problems,
	}
	if r.Limit != queue.Unlimited {
		s.Limit = new(int(r.Limit))
	}
	if !r.Oldest.IsZero() {
		s.Oldest = r.Oldest.UTC().Format(time.RFC3339)
	}
	return s
}

func (b *Board) getQueue(r *http.Request, f *follow.Follower, reader access.Reader) (any, error) {
	namespace, err := mayRead(r, f, reader)
	if err != nil {
		return nil, err
	}
	key := queue.Key{Namespace: namespace, Repository: r.PathValue("queue")}
	q, exists := b.queue(f, key)
	if !exists {
		return nil, errNothing{"No queue", "there is no queue " + key.String()}
	}
	v := q.View()
	v.TypeMeta = view.Kind("Queue")
	return v, nil
}

func (b *Board) getRun(r *http.Request, f *follow.Follower, reader access.Reader) (any, error) {
	namespace, err := mayRead(r, f, reader)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("run")
	q, is, done := b.find(f, namespace, name)
	var v view.Run
	switch {
	case is != nil:
		v = q.ViewRun(*is)
	case done != nil:
		v = view.OfRun(done.Run, queue.StateDone, string(done.Outcome))
	default:
		return nil, errNothing{"No such run", "run " + name + " is in no queue of namespace " + namespace}
	}
	v.TypeMeta, v.Namespace, v.Repository = view.Kind("Run"), namespace, q.Key().Repository
	return v, nil
}
