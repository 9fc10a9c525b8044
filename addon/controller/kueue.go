package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"knative.dev/pkg/logging"
)

const (
	// kueueEvery separates looks for Kueue.
	kueueEvery = 10 * time.Second
	// kueueTimeout bounds one look.
	kueueTimeout = 5 * time.Second
	// kueueGone is how many looks in a row have to miss Kueue until it counts as uninstalled: a run
	// that is started beside Kueue exceeds its quota, and one that waits in vain for half a minute
	// harms less.
	kueueGone = 3
)

// kueue knows whether Kueue is at work in the cluster. As long as no look has answered that, it
// counts as there. It is safe for concurrent use.
type kueue struct {
	// has asks the API server.
	has func(context.Context) (bool, error)
	// changed is called when the answer has changed.
	changed func()
	clock   clock.WithTicker

	mu     sync.Mutex
	missed int // looks in a row
}

// Admits says whether runs that are labelled for Kueue are Kueue's to start.
func (k *kueue) Admits() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.missed < kueueGone
}

// Run looks for Kueue until the context ends.
func (k *kueue) Run(ctx context.Context) {
	ticker := k.clock.NewTicker(kueueEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			if _, err := k.Look(ctx); err != nil {
				logging.FromContext(ctx).Warnw("Cannot look for Kueue", "error", err)
			}
		}
	}
}

// Look asks whether Kueue is at work now. An error changes nothing.
func (k *kueue) Look(ctx context.Context) (bool, error) {
	bounded, cancel := context.WithTimeout(ctx, kueueTimeout)
	defer cancel()
	is, err := k.has(bounded)
	if err != nil {
		return false, err
	}
	was := k.Admits()
	k.mu.Lock()
	if k.missed = min(k.missed+1, kueueGone); is {
		k.missed = 0
	}
	k.mu.Unlock()
	if admits := k.Admits(); admits != was {
		logging.FromContext(ctx).Infow("Runs that are labelled for Kueue", "startedByKueue", admits)
		k.changed()
	}
	return is, nil
}
