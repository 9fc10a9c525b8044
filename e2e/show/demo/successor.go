package main

import (
	"errors"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Entries in the add-on's log of a replica that carries on after another one's death.
const (
	takeoverEntry = "recovery takes over a queue"
	leadingEntry  = "has started leading"
)

// successor returns the first replica that carried on with the queue since the logs had the given
// sizes, or nil, and whether it did so as the elected leader.
func successor(replicas []*stack.Replica, key queue.Key, since map[string]int64) (r *stack.Replica, elected bool, err error) {
	for _, r := range replicas {
		if !r.Running() {
			continue
		}
		takeover, err := r.LogLines(since[r.Name()], takeoverEntry, key.String())
		if err != nil {
			return nil, false, err
		}
		leading, err := r.LogLines(since[r.Name()], leadingEntry)
		if err != nil {
			return nil, false, err
		}
		if len(takeover)+len(leading) > 0 {
			return r, len(takeover) == 0, nil
		}
	}
	return nil, false, nil
}

// logSizes returns the sizes of the replicas' logs by name.
func logSizes(replicas []*stack.Replica) (map[string]int64, error) {
	sizes := map[string]int64{}
	var errs []error
	for _, r := range replicas {
		size, err := r.LogSize()
		sizes[r.Name()] = size
		errs = append(errs, err)
	}
	return sizes, errors.Join(errs...)
}
