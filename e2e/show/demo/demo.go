package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/board"
	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// name is that of the Git repository, the Repository and its namespace.
const name = "shop"

var key = queue.Key{Namespace: name, Repository: name}

// Deadlines.
const (
	// electionDeadline is for the add-on to have a leader.
	electionDeadline = 30 * time.Second
	// progressDeadline is how long nothing may start or finish while runs wait and
	// there is room. PAC alone has been seen to pause for 12 seconds.
	progressDeadline = 30 * time.Second
	// settleDeadline is for the last slot to be given back.
	settleDeadline = 15 * time.Second
)

// queueDeadline is for the whole queue: a base, the time PAC takes to create the
// runs, and a pause as long as PAC's longest before each run that waits for
// another.
func (c config) queueDeadline() time.Duration {
	return time.Minute + time.Duration(c.Runs)*time.Second + time.Duration((c.Runs+c.Limit-1)/c.Limit)*(runTime+15*time.Second)
}

// statusDeadline is for Gitea to show how the runs ended.
func (c config) statusDeadline() time.Duration {
	return 30*time.Second + time.Duration(c.Runs)*time.Second
}

// demo is one performance.
type demo struct {
	config config
	screen *screen.Screen

	stack      *stack.Stack
	addon      *stack.Addon // nil on PAC's own queue
	repository *stack.PACRepository
	recorder   *history.Recorder
	tracker    *tracker

	commit string
	pushed time.Time
	killed *kill
	// logs are the lengths of the replicas' logs at the kill.
	logs map[string]int64
	// standstill says how the queue got stuck, if it did.
	standstill string
	// summed says that the summary is out.
	summed bool
	// stopping is what went wrong when everything was stopped.
	stopping error
}

// run goes through the demo and says whether anything was broken. Whatever
// happens, nothing runs on when it returns.
func (d *demo) run(ctx context.Context) (broken bool, err error) {
	began := time.Now()
	if err := d.start(ctx, began); err != nil {
		return false, err
	}
	defer func() {
		// PAC's own queue is expected to break: nobody will want to know why.
		if ctx.Err() == nil && (err != nil || broken && d.config.Queue == leaseQueue) {
			d.stack.KeepDir()
		}
		d.stopping = d.stack.Stop()
		err = errors.Join(err, d.stopping)
	}()
	if err := d.install(ctx, began); err != nil {
		return false, err
	}
	if d.recorder, err = history.Record(ctx, d.stack.Config(stack.Admin)); err != nil {
		return false, err
	}
	defer d.recorder.Stop()
	if err := d.push(ctx); err != nil {
		return false, err
	}
	if err := d.follow(ctx); err != nil {
		return false, err
	}
	s, err := d.sum(ctx)
	if err != nil {
		return false, err
	}
	d.screen.Close()
	d.screen.Say("\n%s", s.text())
	d.summed = true
	if d.config.Keep {
		d.screen.Say("%s\n\nEverything stays up until Ctrl-C.", d.access())
		<-ctx.Done()
		d.screen.Say("Stopping everything.")
	}
	return len(s.broken()) > 0, nil
}

// say prints a line of progress.
func (d *demo) say(began time.Time, format string, args ...any) {
	d.screen.Say("%7s  %s", board.Age(time.Since(began)), fmt.Sprintf(format, args...))
}

// start starts everything but the add-on.
func (d *demo) start(ctx context.Context, began time.Time) (err error) {
	d.say(began, "starting etcd, kube-apiserver, Tekton, Pipelines-as-Code with %s, Gitea and kwok", count(d.config.Watchers, "watcher"))
	d.stack, err = stack.Start(ctx, stack.Options{
		Components: stack.Everything,
		Watchers:   &d.config.Watchers,
		RunTime:    runTime,
		Audit:      true,
		Log:        func(format string, args ...any) { d.say(began, format, args...) },
	})
	return err
}

// install installs the add-on, if it is its queue that is shown, and makes the
// Repository.
func (d *demo) install(ctx context.Context, began time.Time) error {
	if d.config.Queue == leaseQueue {
		d.say(began, "installing the add-on with helm, %s", count(d.config.Replicas, "replica"))
		var err error
		if d.addon, err = d.stack.InstallAddon(ctx, stack.AddonOptions{Replicas: d.config.Replicas}); err != nil {
			return err
		}
		if err := d.awaitLeader(ctx, began); err != nil {
			return err
		}
	}
	d.say(began, "creating a repository in Gitea and its Repository with concurrency_limit %d", d.config.Limit)
	git, err := d.stack.Gitea().NewRepository(ctx, name)
	if err != nil {
		return err
	}
	d.repository, err = d.stack.NewPACRepository(ctx, key.Namespace, key.Repository, git, &d.config.Limit)
	return err
}

// awaitLeader waits until one of the replicas leads.
func (d *demo) awaitLeader(ctx context.Context, began time.Time) error {
	waiting, cancel := context.WithTimeout(ctx, electionDeadline)
	defer cancel()
	for {
		r, err := leader(waiting, d.stack, d.addon, key)
		if err == nil {
			d.say(began, "%s leads", r.Name())
			return nil
		}
		select {
		case <-waiting.Done():
			return fmt.Errorf("after %s the add-on has no leader: %w", electionDeadline, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// push pushes the runs.
func (d *demo) push(ctx context.Context) error {
	files := stack.RunFiles(d.config.Runs, runTime)
	files["README.md"] = "# " + name + "\n\nEvery push runs what is in .tekton/.\n"
	d.screen.Say("\n%s\n", d.access())
	title := fmt.Sprintf("Queue %s in Leases, limit %d, %s", key, d.config.Limit, count(d.config.Replicas, "replica"))
	if d.config.Queue == pacQueue {
		title = fmt.Sprintf("Queue %s in PAC's memory, limit %d, %s", key, d.config.Limit, count(d.config.Watchers, "watcher"))
	}
	d.pushed = time.Now()
	d.tracker = newTracker(title, d.config.Runs, d.config.Queue == leaseQueue, d.pushed)
	var err error
	if d.commit, err = d.repository.Git.Push(ctx, files, count(d.config.Runs, "run")); err != nil {
		return err
	}
	d.tracker.note(time.Now(), false, fmt.Sprintf("one push with %s, commit %.8s", count(d.config.Runs, "run"), d.commit))
	return nil
}

// access says how to look at everything from outside.
func (d *demo) access() string {
	lines := []string{
		"  Gitea       " + d.repository.Git.Access().URL + "  (API token " + d.stack.Gitea().Token() + ")",
		"  API server  export KUBECONFIG=" + d.stack.Kubeconfig(stack.Admin),
		"              kubectl get pipelineruns -n " + key.Namespace,
	}
	if d.addon != nil {
		lines = append(lines,
			"              kubectl get leases -A -l "+lease.Selector+" \\",
			"                -L pac-lease-queue.dev/repository,pac-lease-queue.dev/slot")
	}
	if d.commit != "" {
		lines = slices.Insert(lines, 1, "              "+d.repository.Git.Access().URL+"/commit/"+d.commit)
	}
	return strings.Join(append(lines, "  logs        "+d.stack.LogsDir()), "\n")
}
