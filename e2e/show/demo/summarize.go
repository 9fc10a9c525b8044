package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// summarize waits for what follows the last run and collects the facts of the summary.
func (d *demo) summarize(ctx context.Context) (summary, error) {
	s := summary{Config: d.config, Kill: d.killed, Stuck: d.standstill}
	var err error
	if s.Statuses, err = d.statuses(ctx); err != nil {
		return s, err
	}
	settling, cancel := context.WithTimeout(ctx, settleDeadline)
	defer cancel()
	// The audit reports a slot that is never released.
	if err := d.recorder.Wait(settling, key, history.View.Free); err != nil && ctx.Err() != nil {
		return s, err
	}
	auditor, err := d.recorder.Audit(key)
	if err != nil {
		return s, err
	}
	s.Report = auditor.Finish(time.Now())
	if s.Requests, err = d.requests(); err != nil {
		return s, err
	}
	return s, nil
}

// statuses waits until Gitea shows that every run succeeded. In a stuck queue some never will.
func (d *demo) statuses(ctx context.Context) (statuses, error) {
	names := runNames(stack.RunFiles(d.config.Runs, runTime))
	deadline := time.Now().Add(d.config.statusDeadline())
	for {
		shown, err := d.repository.Git.Statuses(ctx, d.commit)
		if err != nil {
			return statuses{}, fmt.Errorf("reading commit statuses: %w", err)
		}
		s := compare(names, shown)
		switch {
		case len(s.Missing) == 0, d.standstill != "":
			return s, nil
		case time.Now().After(deadline):
			s.After = fmt.Sprintf(" %s after the last run", d.config.statusDeadline())
			return s, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
}

// runNames returns the names of the runs in the push.
func runNames(files map[string]string) []string {
	var names []string
	for file := range files {
		if base, ok := strings.CutSuffix(path.Base(file), ".yaml"); ok {
			names = append(names, base)
		}
	}
	slices.Sort(names)
	return names
}

// compare looks up the status of each run. PAC composes its context of the application's name and
// the run's.
func compare(runs []string, shown []provider.Status) statuses {
	s := statuses{Want: len(runs)}
	for _, run := range runs {
		state := "none"
		for _, status := range shown {
			if status.Context == run || strings.HasSuffix(status.Context, " / "+run) {
				state = string(status.State)
			}
		}
		if state == string(provider.Success) {
			s.Success++
		} else {
			s.Missing = append(s.Missing, run+" ("+state+")")
		}
	}
	return s
}

// requests counts the API requests of the component that runs the queue.
func (d *demo) requests() (*requests, error) {
	log, err := os.Open(d.AuditLog())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	client, user := "PAC's watchers", stack.PACWatcherUser.Name()
	if d.addon != nil {
		client, user = "the add-on", "system:serviceaccount:"+d.addon.Namespace()+":pac-lease-queue"
	}
	r, err := countRequests(log, user, key.Namespace, d.pushed)
	if err != nil {
		return nil, err
	}
	r.Client = client
	return r, nil
}
