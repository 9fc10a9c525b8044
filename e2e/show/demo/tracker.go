package main

import (
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

// tracker makes boards from views of a queue. It remembers when it first saw each run in its state,
// because the cluster's own timestamps are rounded to seconds.
type tracker struct {
	picture picture.Picture
	seen    map[string]picture.Run // by UID
	numbers *numbers               // nil where slots are Leases
	moved   time.Time              // when a run last appeared, started or finished
}

func newTracker(title string, expected int, leases bool, now time.Time) *tracker {
	t := &tracker{
		picture: picture.Picture{Title: title, Expected: expected, Began: now, Now: now},
		seen:    map[string]picture.Run{},
		moved:   now,
	}
	if !leases {
		t.numbers = &numbers{of: map[string]int{}}
	}
	return t
}

// note adds an event.
func (t *tracker) note(at time.Time, alarm bool, text string) {
	t.picture.Events = append(t.picture.Events, picture.Event{At: at, Text: text, Alarm: alarm})
}

// look returns the picture of a view.
func (t *tracker) look(v history.View, now time.Time) picture.Picture {
	t.picture.Now, t.picture.Limit = now, v.Limit
	t.picture.Runs = make([]picture.Run, 0, len(v.Runs))
	if t.numbers != nil {
		t.numbers.update(v.Runs)
	}
	for _, r := range v.Runs {
		t.picture.Runs = append(t.picture.Runs, t.run(r, v, now))
	}
	b := t.picture
	b.Events = slices.Clone(b.Events)
	return b
}

func (t *tracker) run(r queue.Run, v history.View, now time.Time) picture.Run {
	old, known := t.seen[r.UID]
	shown := picture.Run{Name: r.Name, Slot: t.slot(r, v.Slots), Since: now, Placed: r.Order != nil}
	shown.State = queue.StateOf(r.Phase, shown.Slot)
	if shown.State == queue.StateDone {
		shown.Slot, shown.Outcome = queue.NoSlot, inspect.OutcomeOf(v.PipelineRuns[r.Name])
	}
	switch {
	case known && shown.State == old.State:
		shown.Since, shown.Took = old.Since, old.Took
	case shown.State == queue.StateStarted && old.State == queue.StateClaimed:
		shown.Took = old.Took + now.Sub(old.Since) // a claimed run still waits
	case shown.State == queue.StateDone && old.State != queue.StateStarted:
		shown.Took = ran(v.PipelineRuns[r.Name])
	case known:
		shown.Took = now.Sub(old.Since)
	}
	if !known || shown.State != old.State {
		t.moved = now
	}
	t.seen[r.UID] = shown
	return shown
}

func (t *tracker) slot(r queue.Run, slots []queue.Slot) int {
	if t.numbers != nil {
		if n, ok := t.numbers.of[r.UID]; ok {
			return n
		}
		return queue.NoSlot
	}
	for _, s := range slots {
		if s.Holder != nil && s.Holder.UID == r.UID {
			return s.Index
		}
	}
	return queue.NoSlot
}

// numbers stand in for slots on PAC's own queue, which only counts. A run that starts gets the
// lowest free number.
type numbers struct{ of map[string]int }

func (n *numbers) update(runs []queue.Run) {
	taken := map[int]bool{}
	for _, r := range runs {
		if r.Phase != queue.Started {
			delete(n.of, r.UID)
		} else if i, ok := n.of[r.UID]; ok {
			taken[i] = true
		}
	}
	free := 0
	for _, r := range runs {
		if _, ok := n.of[r.UID]; ok || r.Phase != queue.Started {
			continue
		}
		for taken[free] {
			free++
		}
		n.of[r.UID], taken[free] = free, true
	}
}

// ran returns how long a finished run ran by the cluster's timestamps.
func ran(pr *tektonv1.PipelineRun) time.Duration {
	if pr.Status.StartTime == nil || pr.Status.CompletionTime == nil {
		return 0
	}
	return pr.Status.CompletionTime.Sub(pr.Status.StartTime.Time)
}
