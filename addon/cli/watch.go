package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

// watcher follows one queue by looking whenever something has changed.
type watcher struct {
	look func(context.Context) (inspect.Queue, error)
	// changed tells that something may have.
	changed <-chan struct{}
	// ended says how a run ended that has disappeared from the queue, if it has ended.
	ended func(context.Context, queue.Run) (inspect.Done, bool, error)
	clock clock.Clock
	// every is the least time between two looks, and how often the time in the picture goes on.
	every time.Duration

	began time.Time            // by the time of the first look
	seen  map[string]queue.Run // that were not done, by UID
	done  map[string]inspect.Done
	// unsettled says that a run has disappeared and is not over: nothing will tell of its end.
	unsettled bool
}

// run shows the queue until the context ends. Only the first look may fail.
func (w *watcher) run(ctx context.Context, show func(inspect.Queue), say func(error)) error {
	w.done = map[string]inspect.Done{}
	q, err := w.next(ctx)
	if err != nil {
		return err
	}
	then, looked := q.Now, w.clock.Now()
	for told := ""; ; {
		if err == nil {
			show(q)
			told = ""
		} else if err.Error() != told {
			told = err.Error()
			say(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.clock.After(w.every):
		}
		again := err != nil || w.unsettled
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
			again = true
		default:
		}
		if !again { // only time has passed
			q.Now = then.Add(w.clock.Since(looked))
			continue
		}
		if q, err = w.next(ctx); ctx.Err() != nil {
			return nil
		}
		then, looked = q.Now, w.clock.Now()
	}
}

// next looks at the queue, and for runs that have disappeared from it since the last look:
// PAC removes runs that are done.
func (w *watcher) next(ctx context.Context) (inspect.Queue, error) {
	q, err := w.look(ctx)
	if err != nil {
		return q, err
	}
	if w.began.IsZero() {
		w.began = q.Now
	}
	for _, d := range q.Done {
		if _, seen := w.seen[d.UID]; seen || !d.Ended.Before(w.began.Truncate(time.Second)) {
			w.done[d.UID] = d
		}
	}
	w.unsettled = false
	stand := map[string]queue.Run{}
	for _, is := range q.Runs {
		stand[is.Run.UID] = *is.Run
	}
	for uid, run := range w.seen {
		_, stands := stand[uid]
		if _, done := w.done[uid]; stands || done {
			continue
		}
		d, done, err := w.ended(ctx, run)
		if err != nil {
			return q, err
		}
		if !done {
			stand[uid], w.unsettled = run, true
			continue
		}
		if d.Ended.IsZero() { // the cluster does not say when
			d.Ended = q.Now
		}
		w.done[uid] = d
	}
	w.seen = stand
	q.Done = slices.SortedFunc(maps.Values(w.done), inspect.Done.Compare)
	return q, nil
}

// draw makes the picture of a queue, with time counted from when the watch began.
func draw(q inspect.Queue, began time.Time) picture.Picture {
	title := report.Plain(fmt.Sprintf("Queue %s, limit %s", q.Key(), limitText(q)))
	b := picture.Picture{Title: title, Limit: q.Limit, Began: began, Now: q.Now}
	for _, d := range q.Done {
		r := picture.Run{
			Name: d.Name, State: queue.StateDone, Placed: true, Slot: queue.NoSlot, Since: d.Ended,
			Outcome: report.Outcome(report.Plain(string(d.Outcome))),
		}
		if !d.Began.IsZero() && !d.Ended.IsZero() {
			r.Took = d.Ended.Sub(d.Began)
		}
		b.Runs = append(b.Runs, r)
	}
	for _, is := range q.Runs {
		r := picture.Run{
			Name: is.Run.Name, State: is.State(), Slot: is.Slot, Placed: is.Run.Order != nil, Since: is.Run.Created,
		}
		at, acquired := q.Acquired[is.Slot]
		switch {
		case r.State == queue.StateStarted && !is.Run.Began.IsZero():
			r.Since, r.Took = is.Run.Began, is.Run.Began.Sub(is.Run.Created)
		case r.State == queue.StateClaimed && acquired:
			r.Since = at
		}
		b.Runs = append(b.Runs, r)
	}
	return b
}

// documents writes a queue as one line of JSON each time that it has changed.
type documents struct {
	out  io.Writer
	last []byte
}

func (d *documents) show(q inspect.Queue) error {
	v := q.View()
	v.TypeMeta = view.Kind("Queue")
	for i := range v.Runs {
		v.Runs[i].EstimatedStart = nil // moves with every look
	}
	line, err := json.Marshal(v)
	if err != nil || bytes.Equal(line, d.last) {
		return err
	}
	d.last = line
	_, err = fmt.Fprintf(d.out, "%s\n", line)
	return err
}
