package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// How often the picture is shown when nothing changes, so that ages grow.
const (
	tickLive  = 100 * time.Millisecond
	tickLines = time.Second
)

// follow shows the queue until it is worked off or stuck, and kills the leader half-way.
func (d *demo) follow(ctx context.Context) error {
	tick := tickLines
	if d.Screen.Live() {
		tick = tickLive
	}
	for exceeded := false; ; {
		changed := d.recorder.Changed()
		b := d.tracker.look(d.recorder.View(key), time.Now())
		d.Screen.Show(b)
		running, finished := len(b.In(queue.StateStarted)), len(b.In(queue.StateDone))
		switch stuck := d.stuck(b); {
		case finished >= d.config.Runs:
			return nil
		case stuck != "":
			d.standstill = stuck
			d.tracker.note(b.Now, true, stuck)
			d.Screen.Show(d.tracker.look(d.recorder.View(key), b.Now))
			return nil
		case running > d.config.Limit && !exceeded:
			exceeded = true
			d.tracker.note(b.Now, true, fmt.Sprintf("the limit is exceeded: %d runs at once", running))
		case d.config.Kill && d.killed == nil && finished >= max(1, d.config.Runs/2):
			if err := d.killLeader(ctx, finished); err != nil {
				return err
			}
		case d.killed != nil && d.killed.By == "":
			if err := d.findSuccessor(); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-time.After(tick):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stuck describes why the queue will not be worked off any more; empty if it may be.
func (d *demo) stuck(b picture.Picture) string {
	running, finished := len(b.In(queue.StateStarted)), len(b.In(queue.StateDone))
	state := fmt.Sprintf("with %d of %d running and %d of %s finished", running, d.config.Limit, finished, show.Count(d.config.Runs, "run"))
	if running < d.config.Limit && b.Now.Sub(d.tracker.moved) > progressDeadline {
		return fmt.Sprintf("nothing has happened for %s, %s", progressDeadline, state)
	}
	if deadline := d.config.queueDeadline(); b.Now.Sub(d.pushed) > deadline {
		return fmt.Sprintf("the queue was not worked off within %s, %s", deadline, state)
	}
	return ""
}

// killLeader kills the leading replica with SIGKILL.
func (d *demo) killLeader(ctx context.Context, finished int) error {
	r, err := d.addon.Leader(ctx, key)
	if err != nil {
		return fmt.Errorf("killing the leader: %w", err)
	}
	if d.logs, err = logSizes(d.addon.Replicas()); err != nil {
		return err
	}
	at := time.Now()
	if err := r.Kill(); err != nil {
		return err
	}
	d.killed = &kill{Replica: r.Name(), At: at, Finished: finished}
	d.tracker.note(at, true, fmt.Sprintf("%s, the leader, killed with SIGKILL after %s", r.Name(), show.Count(finished, "run")))
	return nil
}

// findSuccessor looks for the replica that carries on after the kill.
func (d *demo) findSuccessor() error {
	r, elected, err := successor(d.addon.Replicas(), key, d.logs)
	if err != nil || r == nil {
		return err
	}
	d.killed.By = r.Name()
	how := "found overdue work and took the queue over"
	if elected {
		how = "was elected leader"
	}
	d.tracker.note(time.Now(), false, r.Name()+" "+how)
	return nil
}
