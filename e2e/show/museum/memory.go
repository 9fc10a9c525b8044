package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// memory describes the queue as each watcher remembers it, which PAC exposes since v0.50.0.
func (s *scene) memory() (string, error) {
	v := s.view()
	names := func(keys []string) string {
		var names []string
		for _, key := range keys {
			_, run, _ := strings.Cut(key, "/")
			name := definition(run)
			switch pr := v.PipelineRuns[run]; {
			case pr == nil:
				name += " (of another Repository)"
			case pr.IsDone():
				name += " (done)"
			}
			names = append(names, name)
		}
		return list(names)
	}
	var all []string
	for _, w := range s.Watchers() {
		if !w.Running() {
			return "", fmt.Errorf("%s has exited", w.Name())
		}
		queues, err := watcherQueues(s.ctx, s.WatcherURL(w))
		if err != nil {
			return "", fmt.Errorf("%s: %w", w.Name(), err)
		}
		q := queues[s.key.String()]
		all = append(all, fmt.Sprintf("%s remembers %s as running, %s as waiting", w.Name(), names(q.Running), names(q.Pending)))
	}
	return strings.Join(all, "; "), nil
}

// list writes up to three names, and counts more.
func list(names []string) string {
	switch {
	case len(names) == 0:
		return "nothing"
	case len(names) > 3:
		return fmt.Sprintf("%d runs", len(names))
	default:
		return strings.Join(names, ", ")
	}
}

// watcherQueue is a watcher's memory of one Repository.
type watcherQueue struct{ Running, Pending []string }

// watcherQueues reads the queues of a watcher, which is sometimes too busy to respond.
func watcherQueues(ctx context.Context, url string) (queues map[string]watcherQueue, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepDeadline)
	defer cancel()
	ask := func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/debug/queue", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return json.NewDecoder(res.Body).Decode(&queues)
	}
	for {
		if err = ask(); err == nil {
			return queues, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
