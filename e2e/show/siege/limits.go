package main

import (
	"fmt"
	"slices"
	"sync"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// limits keeps count of the started runs of the tenants' queues whose limits stay as they are.
type limits struct {
	mu       sync.Mutex
	promised map[queue.Key]int
	runs     map[types.UID]queue.Key // of the runs that have not started or are not over
	started  map[queue.Key][]types.UID
	broken   []string
}

func newLimits() *limits {
	return &limits{promised: map[queue.Key]int{}, runs: map[types.UID]queue.Key{}, started: map[queue.Key][]types.UID{}}
}

func (l *limits) promise(key queue.Key, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promised[key] = limit
}

// forget lets every limit be broken from now on.
func (l *limits) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.promised)
}

// observe follows one run. It belongs to the queue in which it was first seen.
func (l *limits) observe(pr *tektonv1.PipelineRun, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, known := l.runs[pr.UID]
	if !known {
		var ok bool
		if key, ok = keyOf(pr); !ok {
			return
		}
		if _, promised := l.promised[key]; !promised {
			return
		}
		l.runs[pr.UID] = key
	}
	was := slices.Contains(l.started[key], pr.UID)
	is := !gone && phaseOf(pr) == queue.Started
	switch {
	case gone || phaseOf(pr) == queue.Done:
		l.started[key] = slices.DeleteFunc(l.started[key], func(uid types.UID) bool { return uid == pr.UID })
		if gone {
			delete(l.runs, pr.UID)
		}
	case is && !was:
		l.started[key] = append(l.started[key], pr.UID)
		if n, limit := len(l.started[key]), l.promised[key]; limit > 0 && n > limit {
			l.broken = append(l.broken, fmt.Sprintf("%s: %s makes %d started runs, the limit is %d", key, pr.Name, n, limit))
		}
	}
}

func keyOf(pr *tektonv1.PipelineRun) (queue.Key, bool) {
	key, ok := pac.KeyOf(pr)
	return key, ok && pac.IsPACs(pr)
}

func phaseOf(pr *tektonv1.PipelineRun) queue.Phase { return pac.ReadRun(pr).Phase }
