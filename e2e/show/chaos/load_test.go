package main

import (
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	c := config{Seed: 3, Duration: 10 * time.Minute, Queues: 4, Runs: 300}
	byQueue := make([]int, c.Queues)
	total, last := 0, time.Duration(0)
	for _, p := range load(c) {
		total += p.runs
		byQueue[p.queue] += p.runs
		if p.at < last || p.at > c.Duration {
			t.Errorf("a push at %s comes after one at %s", p.at, last)
		}
		last = p.at
	}
	if total != c.Runs {
		t.Errorf("%d runs are pushed, want %d", total, c.Runs)
	}
	if byQueue[0] == 0 || byQueue[0] > byQueue[3] {
		t.Errorf("the queues get %v runs, want each some, and more where the limit is higher", byQueue)
	}
}
