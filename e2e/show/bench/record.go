package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// stored is where the API server keeps PipelineRuns.
const stored = "/registry/tekton.dev/pipelineruns/"

// record has when each run of a measurement was created, started and done, as one watch of etcd
// shows it: the same for every contender.
type record struct {
	mu      sync.Mutex
	runs    map[string]*life // by namespace/name
	done    int
	started int
	changed chan struct{} // closed and replaced at every change
	err     error
}

// life has the times of a run; zero is not yet.
type life struct {
	queue                  string
	created, started, done time.Time
}

// newRecord records the runs of namespaces whose names begin with a prefix, until the context ends.
func newRecord(ctx context.Context, etcd *clientv3.Client, prefix string) *record {
	r := &record{runs: map[string]*life{}, changed: make(chan struct{})}
	watch := etcd.Watch(ctx, stored+prefix, clientv3.WithPrefix())
	go func() {
		for answer := range watch {
			now := time.Now()
			for _, event := range answer.Events {
				if event.Type == clientv3.EventTypePut {
					r.see(now, strings.TrimPrefix(string(event.Kv.Key), stored), event.Kv.Value)
				}
			}
			if err := answer.Err(); err != nil && ctx.Err() == nil {
				r.fail(err)
			}
		}
	}()
	return r
}

func (r *record) see(now time.Time, name string, value []byte) {
	var run struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			Status string `json:"status"`
		} `json:"spec"`
		Status struct {
			Conditions []struct {
				Type, Status string
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(value, &run); err != nil {
		r.fail(fmt.Errorf("%s in etcd: %w", name, err))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.runs[name]
	if l == nil {
		namespace, _, _ := strings.Cut(name, "/")
		l = &life{queue: namespace + "/" + run.Metadata.Annotations[repositoryKey], created: now}
		r.runs[name] = l
	}
	if l.started.IsZero() && run.Spec.Status == "" {
		l.started = now
		r.started++
	}
	for _, c := range run.Status.Conditions {
		if c.Type == "Succeeded" && c.Status != "Unknown" && l.done.IsZero() {
			l.done = now
			r.done++
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *record) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits until so many runs exist, are started and done.
func (r *record) await(ctx context.Context, what string, within time.Duration, created, started, done int) error {
	deadline := time.After(within)
	for {
		r.mu.Lock()
		have := [...]int{len(r.runs), r.started, r.done}
		err, changed := r.err, r.changed
		r.mu.Unlock()
		if err != nil {
			return err
		}
		if have[0] >= created && have[1] >= started && have[2] >= done {
			return nil
		}
		select {
		case <-changed:
		case <-deadline:
			return fmt.Errorf("%s: not within %s; %d runs are created, %d started and %d done, want %d, %d and %d",
				what, within, have[0], have[1], have[2], created, started, done)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// span is the time from the first creation to the last start.
func (r *record) span() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first, last time.Time
	for _, l := range r.runs {
		if first.IsZero() || l.created.Before(first) {
			first = l.created
		}
		if l.started.After(last) {
			last = l.started
		}
	}
	return last.Sub(first)
}

// starts are the times of all starts in order.
func (r *record) starts() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []time.Time
	for _, l := range r.runs {
		if !l.started.IsZero() {
			all = append(all, l.started)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// pauses are the times from a freed slot, or from the creation of the run that takes it if that
// came later, to the next start, in order of length. A queue's first starts, up to its limit, find
// slots that nobody frees.
func (r *record) pauses(limit int) []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	queues := map[string][]*life{}
	for _, l := range r.runs {
		queues[l.queue] = append(queues[l.queue], l)
	}
	var all []time.Duration
	for _, lives := range queues {
		var done []time.Time
		var started []*life
		for _, l := range lives {
			if !l.done.IsZero() {
				done = append(done, l.done)
			}
			if !l.started.IsZero() {
				started = append(started, l)
			}
		}
		slices.SortFunc(done, time.Time.Compare)
		slices.SortFunc(started, func(a, b *life) int { return a.started.Compare(b.started) })
		for i := limit; i < len(started) && i-limit < len(done); i++ {
			free := done[i-limit]
			if started[i].created.After(free) {
				free = started[i].created
			}
			all = append(all, max(0, started[i].started.Sub(free)))
		}
	}
	slices.Sort(all)
	return all
}

// mostStarted is the most runs of a queue that were started and not done at a time: what a limit
// bounds. A queue that exceeds it measures nothing.
func (r *record) mostStarted() (most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	type change struct {
		at time.Time
		by int
	}
	queues := map[string][]change{}
	for _, l := range r.runs {
		if !l.started.IsZero() {
			queues[l.queue] = append(queues[l.queue], change{l.started, 1})
		}
		if !l.done.IsZero() {
			queues[l.queue] = append(queues[l.queue], change{l.done, -1})
		}
	}
	for _, changes := range queues {
		// Of two at the same time the end counts first: one answer of etcd has many events.
		slices.SortStableFunc(changes, func(a, b change) int {
			if c := a.at.Compare(b.at); c != 0 {
				return c
			}
			return a.by - b.by
		})
		running := 0
		for _, c := range changes {
			running += c.by
			most = max(most, running)
		}
	}
	return most
}

// quantile returns the value below which a part of the sorted values is.
func quantile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}
