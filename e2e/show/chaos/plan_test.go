package main

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	const length, replicas = 10 * time.Minute, 3
	kinds := map[string]int{}
	for seed := range uint64(50) {
		faults := plan(seed, length, replicas)
		if !slices.Equal(lines(faults), lines(plan(seed, length, replicas))) {
			t.Fatalf("seed %d gives two different plans", seed)
		}
		for i, f := range faults {
			kinds[f.name]++
			if f.end() > length {
				t.Errorf("seed %d: %s lasts until %s, past the end", seed, f, f.end())
			}
			for _, later := range faults[i+1:] {
				if later.at < f.at {
					t.Errorf("seed %d: %s is listed after %s", seed, later, f)
				}
				shared := slices.ContainsFunc(later.targets, func(target string) bool { return slices.Contains(f.targets, target) })
				if shared && later.at < f.end() {
					t.Errorf("seed %d: %s begins while %s lasts", seed, later, f)
				}
			}
		}
	}
	for _, k := range slices.Concat(replicaKinds, allReplicasKinds, controlPlaneKinds, neighbourKinds) {
		if kinds[k.name] < 50 {
			t.Errorf("%q is in 50 plans %d times, want it in about every plan", k.name, kinds[k.name])
		}
	}
}

func TestDifferentSeedsGiveDifferentPlans(t *testing.T) {
	if slices.Equal(lines(plan(1, time.Minute, 3)), lines(plan(2, time.Minute, 3))) {
		t.Error("the plans of two seeds are the same")
	}
}

func lines(faults []fault) []string {
	var all []string
	for _, f := range faults {
		all = append(all, fmt.Sprintf("%s for %s: %s", f.at, f.length, f))
	}
	return all
}
