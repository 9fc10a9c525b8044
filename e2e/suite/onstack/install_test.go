package onstack_test

import (
	"testing"
	"time"
)

// An upgrade and its rollback replace the replicas one after the other while the queue goes on.
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
