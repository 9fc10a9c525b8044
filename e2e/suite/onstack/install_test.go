package onstack_test

import (
	"testing"
	"time"
)

// A new release replaces the replicas one after the other, and so does the way
// back; the queue goes on meanwhile.
func TestUpgradeAndRollbackUnderLoad(t *testing.T) {
	s := newScene(t, 2, 2)
	s.push(14, 3*time.Second)
	s.done(1)
	before := cluster.Addon().Replicas()
	s.must(cluster.Addon().Upgrade(s.ctx, "podAnnotations.release=next"))
	upgraded := cluster.Addon().Replicas()
	s.done(7)
	s.must(cluster.Addon().Rollback(s.ctx))
	s.finished(14)
	for i, r := range cluster.Addon().Replicas() {
		if r == upgraded[i] || upgraded[i] == before[i] {
			t.Errorf("%s was not replaced twice", r.Name())
		}
	}
}
