package controller

import (
	"sync"

	"knative.dev/pkg/reconciler"
)

// buckets are those that this replica leads. It is safe for concurrent use.
type buckets struct {
	mu  sync.Mutex
	led map[string]bool
}

func (b *buckets) set(bucket reconciler.Bucket, leads bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.led == nil {
		b.led = map[string]bool{}
	}
	if leads {
		b.led[bucket.Name()] = true
	} else {
		delete(b.led, bucket.Name())
	}
}

func (b *buckets) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.led)
}
