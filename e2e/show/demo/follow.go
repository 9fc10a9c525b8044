package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/board"
)

// How often to look when nothing changes, so that ages grow.
const (
	tickLive  = 100 * time.Millisecond
	tickLines = time.Second
)

// follow shows the queue until it is worked off, or until nothing happens any
// more, and kills the leader half-way.
func (d *demo) follow(ctx context.Context) error {
	tick := tickLines
	if d.screen.Live() {
		tick = tickLive
	}
	for exceeded := false; ; {
		changed := d.recorder.Changed()
		b := d.tracker.look(d.recorder.View(key), time.Now())
		d.screen.Show(b)
		running, finished := len(b.In(board.Running)), len(b.In(board.Finished))
		switch stuck := d.stuck(b); {
		case finished >= d.config.Runs:
			return nil
		case stuck != "":
			d.standstill = stuck
			d.tracker.note(b.Now, true, stuck)
			d.screen.Show(d.tracker.look(d.recorder.View(key), b.Now))
			return nil
		case running > d.config.Limit && !exceeded:
			exceeded = true
			d.tracker.note(b.Now, true, fmt.Sprintf("the limit is exceeded: %d runs at once", running))
		case d.config.Kill && d.killed == nil && finished >= max(1, d.config.Runs/2):
			if err := d.killLeader(ctx, finished); err != nil {
				return err
			}
		case d.killed != nil && d.killed.By == "":
			if err := d.lookForHeir(); err != nil {
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

// stuck says what keeps the queue from ever being worked off, if anything.
func (d *demo) stuck(b board.Board) string {
	running, finished := len(b.In(board.Running)), len(b.In(board.Finished))
	state := fmt.Sprintf("with %d of %d running and %d of %s finished", running, d.config.Limit, finished, count(d.config.Runs, "run"))
	if running < d.config.Limit && b.Now.Sub(d.tracker.moved) > progressDeadline {
		return fmt.Sprintf("nothing has happened for %s, %s", progressDeadline, state)
	}
	if deadline := d.config.queueDeadline(); b.Now.Sub(d.pushed) > deadline {
		return fmt.Sprintf("the queue was not worked off within %s, %s", deadline, state)
	}
	return ""
}

// killLeader kills the replica that leads, the hard way.
func (d *demo) killLeader(ctx context.Context, finished int) error {
	r, err := leader(ctx, d.stack, d.addon, key)
	if err != nil {
		return fmt.Errorf("killing the leader: %w", err)
	}
	if d.logs, err = logLengths(d.addon); err != nil {
		return err
	}
	at := time.Now()
	if err := r.Kill(); err != nil {
		return err
	}
	d.killed = &kill{Replica: r.Name(), At: at, Finished: finished}
	d.tracker.note(at, true, fmt.Sprintf("%s, the leader, killed with SIGKILL after %s", r.Name(), count(finished, "run")))
	return nil
}

// lookForHeir finds out who goes on after the kill.
func (d *demo) lookForHeir() error {
	r, leads, err := heir(d.addon, key, d.logs)
	if err != nil || r == nil {
		return err
	}
	d.killed.By = r.Name()
	how := "found overdue work and took the queue over"
	if leads {
		how = "was elected leader"
	}
	d.tracker.note(time.Now(), false, r.Name()+" "+how)
	return nil
}
