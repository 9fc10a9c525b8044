package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/board"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// watcher follows one queue by looking again and again.
type watcher struct {
	look func(context.Context) (inspect.Queue, error)
	// ended says how a run ended that is out of sight, if it has.
	ended func(context.Context, queue.Run) (inspect.Over, bool, error)
	clock clock.Clock
	every time.Duration

	began time.Time            // by the time of the first look
	seen  map[string]queue.Run // that were not over, by UID
	over  map[string]inspect.Over
}

// run shows the queue until the context ends. Only the first look may fail.
func (w *watcher) run(ctx context.Context, show func(inspect.Queue), say func(error)) error {
	w.over = map[string]inspect.Over{}
	q, err := w.next(ctx)
	if err != nil {
		return err
	}
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
		if q, err = w.next(ctx); ctx.Err() != nil {
			return nil
		}
	}
}

// next looks at the queue, and for what has gone out of sight since the last look:
// PAC takes away what is over.
func (w *watcher) next(ctx context.Context) (inspect.Queue, error) {
	q, err := w.look(ctx)
	if err != nil {
		return q, err
	}
	if w.began.IsZero() {
		w.began = q.Now
	}
	for _, o := range q.Over {
		if _, seen := w.seen[o.UID]; seen || !o.Ended.Before(w.began.Truncate(time.Second)) {
			w.over[o.UID] = o
		}
	}
	stand := map[string]queue.Run{}
	for _, is := range q.Runs {
		stand[is.Run.UID] = is.Run
	}
	for uid, run := range w.seen {
		_, stands := stand[uid]
		if _, over := w.over[uid]; stands || over {
			continue
		}
		o, over, err := w.ended(ctx, run)
		if err != nil {
			return q, err
		}
		if !over {
			stand[uid] = run
			continue
		}
		if o.Ended.IsZero() { // nobody wrote down when
			o.Ended = q.Now
		}
		w.over[uid] = o
	}
	w.seen = stand
	q.Over = slices.SortedFunc(maps.Values(w.over), func(a, b inspect.Over) int {
		return cmp.Or(a.Ended.Compare(b.Ended), cmp.Compare(a.Name, b.Name))
	})
	return q, nil
}

// picture makes the board of a queue, with time counted from when the watch began.
func picture(q inspect.Queue, began time.Time) board.Board {
	b := board.Board{Title: fmt.Sprintf("Queue %s, limit %s", q.Key(), limitText(q)), Limit: q.Limit, Began: began, Now: q.Now}
	for _, o := range q.Over {
		r := board.Run{Name: o.Name, State: board.Finished, Placed: true, Slot: board.NoSlot, Since: o.Ended, Wrong: o.Wrong}
		if !o.Began.IsZero() && !o.Ended.IsZero() {
			r.Took = o.Ended.Sub(o.Began)
		}
		b.Runs = append(b.Runs, r)
	}
	for _, is := range q.Runs {
		r := board.Run{Name: is.Run.Name, Slot: board.NoSlot, Placed: is.Run.Order != nil, Since: is.Run.Created}
		if is.Slot != queue.NoSlot {
			r.Slot = is.Slot
		}
		switch stateOf(is) {
		case Running:
			r.State = board.Running
			if !is.Run.Began.IsZero() {
				r.Since, r.Took = is.Run.Began, is.Run.Began.Sub(is.Run.Created)
			}
		case Starting:
			r.State = board.Claimed
			if at, has := q.Acquired[is.Slot]; has {
				r.Since = at
			}
		default:
			r.State = board.Waiting
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
	v := viewQueue(q)
	v.TypeMeta = &TypeMeta{apiVersion, "Queue"}
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
