package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// name is the name of the Git repository, the Repository and its namespace.
const name = "shop"

var key = queue.Key{Namespace: name, Repository: name}

const (
	// progressDeadline is how long nothing may start or finish while runs wait and there is room.
	// PAC alone has been seen to pause for 12 seconds.
	progressDeadline = 30 * time.Second
	// settleDeadline is how long the last slot may take to be released.
	settleDeadline = 15 * time.Second
)

// demo is one performance.
type demo struct {
	*show.Stage
	config config

	addon      *stack.Addon // nil on PAC's own queue
	repository *stack.PACRepository
	recorder   *history.Recorder
	tracker    *tracker

	commit string
	pushed time.Time
	killed *kill
	// logs holds the sizes of the replicas' logs at the kill.
	logs map[string]int64
	// standstill tells how the queue got stuck; empty if it did not.
	standstill string
}

func (d *demo) play(ctx context.Context) (result show.Result, err error) {
	if err := d.install(ctx); err != nil {
		return result, err
	}
	if d.recorder, err = history.Record(ctx, d.Config(stack.Admin)); err != nil {
		return result, err
	}
	defer d.recorder.Stop()
	if err := d.push(ctx); err != nil {
		return result, err
	}
	if err := d.follow(ctx); err != nil {
		return result, err
	}
	s, err := d.summarize(ctx)
	if err != nil {
		return result, err
	}
	broken := len(s.broken()) > 0
	if broken && d.addon != nil { // PAC's own queue is expected to break, and its logs are of no interest
		d.KeepDir()
	}
	report := s.text()
	if broken && d.addon == nil {
		report += "\n\nThis was PAC's own queue, without the add-on. \"make demo\" shows the same push with it."
	}
	return show.Result{OK: !broken, Report: report, Access: d.access()}, nil
}

// install installs the add-on, unless PAC's own queue is shown, and creates the Repository.
func (d *demo) install(ctx context.Context) error {
	if d.config.Queue == leaseQueue {
		d.Say("installing the add-on with helm, %s", show.Count(d.config.Replicas, "replica"))
		var err error
		if d.addon, err = d.InstallAddon(ctx, stack.AddonOptions{
			Replicas: d.config.Replicas, Values: []string{"board.enabled=true"},
		}); err != nil {
			return err
		}
		leader, err := d.addon.Leader(ctx, key)
		if err != nil {
			return err
		}
		d.Say("%s leads", leader.Name())
	}
	d.Say("creating a repository in Gitea and its Repository with concurrency_limit %d", d.config.Limit)
	git, err := d.Gitea().NewRepository(ctx, name)
	if err != nil {
		return err
	}
	d.repository, err = d.NewPACRepository(ctx, key.Namespace, key.Repository, git, &d.config.Limit)
	return err
}

// push pushes all runs in one commit.
func (d *demo) push(ctx context.Context) error {
	files := stack.RunFiles(d.config.Runs, runTime)
	files["README.md"] = "# " + name + "\n\nEvery push runs the pipelines in .tekton/.\n"
	d.Screen.Say("\n%s\n", d.access())
	title := fmt.Sprintf("Queue %s in Leases, limit %d, %s", key, d.config.Limit, show.Count(d.config.Replicas, "replica"))
	if d.config.Queue == pacQueue {
		title = fmt.Sprintf("Queue %s in PAC's memory, limit %d, %s", key, d.config.Limit, show.Count(d.config.Watchers, "watcher"))
	}
	d.pushed = time.Now()
	d.tracker = newTracker(title, d.config.Runs, d.config.Queue == leaseQueue, d.pushed)
	runs := show.Count(d.config.Runs, "run")
	var err error
	if d.commit, err = d.repository.Git.Push(ctx, files, runs); err != nil {
		return err
	}
	d.tracker.note(time.Now(), false, fmt.Sprintf("one push with %s, commit %.8s", runs, d.commit))
	return nil
}

// access tells how to look at everything from outside.
func (d *demo) access() string {
	url := d.repository.Git.Access().URL
	lines := []string{
		"  Gitea       " + url + "  (API token " + d.Gitea().Token() + ")",
		"  API server  export KUBECONFIG=" + d.Kubeconfig(stack.Admin),
		"              kubectl get pipelineruns -n " + key.Namespace,
	}
	if d.addon != nil {
		lines = append(lines,
			"              kubectl get leases -A -l "+lease.Selector+" \\",
			"                -L pac-lease-queue.dev/repository,pac-lease-queue.dev/slot")
	}
	if d.addon != nil && d.addon.Board() != nil {
		lines = append(lines, "  board       "+d.addon.Board().PagesURL)
	}
	if d.commit != "" {
		lines = slices.Insert(lines, 1, "              "+url+"/commit/"+d.commit)
	}
	return strings.Join(append(lines, "  logs        "+d.LogsDir()), "\n")
}
