package controller

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// What concerns all queues wakes one each millisecond, and the last after ten seconds at most: a
// queue that has news of its own meanwhile finds a worker.
const (
	apartBy  = time.Millisecond
	mostLate = 10 * time.Second
)

// apart calls wake for every queue, each with a longer delay than the one before.
func apart(keys []queue.Key, wake func(queue.Key, time.Duration)) {
	by := apartBy
	if n := time.Duration(len(keys)); n*by > mostLate {
		by = mostLate / n
	}
	for i, key := range keys {
		wake(key, time.Duration(i)*by)
	}
}
