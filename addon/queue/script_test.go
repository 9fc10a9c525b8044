package queue_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// script is a race in slow motion: who looks at what, and whose request arrives
// when. It is played by faithful replicas, who survive it, and by mutants, who
// do not.
type script struct {
	*cluster
	*testing.T
	mutant   mutant
	replicas map[string]*replica
}

// moment is a point in the histories of runs and slots.
type moment struct{ runs, slots int }

func (s *script) now() moment { return moment{len(s.watched), len(s.leases)} }

func (s *script) wait(d time.Duration) { s.cluster.now = s.cluster.now.Add(d) }

func (s *script) add(bs ...runBuilder) {
	for _, b := range bs {
		s.putRun(b.Run)
	}
}

// looks makes a replica decide on runs and slots as they were.
func (s *script) looks(name string, at moment) {
	r := s.replicas[name]
	if r == nil {
		r = &replica{c: s.cluster, name: name, mutant: s.mutant, policy: policy, patience: time.Hour, longest: time.Hour}
		s.replicas[name] = r
	}
	r.runs.moveTo(at.runs, s.watched)
	r.slots.moveTo(at.slots, s.leases)
	r.observe()
	if r.listing != nil {
		r.finishListing()
	}
}

// does carries out actions of the last decision, named by how they begin, if they are part of it. For a
// mutant it must be.
func (s *script) does(name string, actions ...string) {
	s.Helper()
	r := s.replicas[name]
	for _, what := range actions {
		i := slices.IndexFunc(r.todo, func(a queue.Action) bool { return strings.HasPrefix(describe(a), what) })
		if i >= 0 {
			a := r.todo[i]
			r.todo = slices.Delete(slices.Clone(r.todo), i, i+1)
			r.execute(a)
		} else if s.mutant != faithful {
			s.Errorf("the mutant %s does not %q but: %s", name, what, decided(r.todo))
		}
	}
}

func TestScripts(t *testing.T) {
	a, b, c, x := run("a").created(-13*time.Second), run("b").created(-12*time.Second), run("c").created(-14*time.Second).owed("its secret"), run("x").created(-15*time.Second)
	ready := func(r *queue.Run) { r.Owed = "" }
	finish := func(r *queue.Run) { r.Phase = queue.Done }
	start := func(r *queue.Run) { r.Phase = queue.Started }
	cases := map[string]struct {
		limit   queue.Limit
		mutants []mutant
		play    func(*script)
	}{
		"a start is late, the run's claim is over, its slot given away": {
			limit: 1, mutants: []mutant{freeWithoutFence},
			play: func(s *script) {
				s.putSlot(slot(0).Slot)
				s.add(a, c)
				s.looks("slow", s.now())
				s.does("slow", "claim 0 for a")
				s.looks("quick", s.now())
				s.wait(policy.ClaimTTL)
				s.editRun("c", ready)
				s.looks("quick", s.now())
				s.does("quick", "expire a on 0")
				s.does("quick", "release 0")
				s.looks("other", s.now())
				s.does("other", "claim 0 for c", "start c")
				s.does("slow", "start a")
			},
		},
		"a start comes between the freeing and the fence": {
			limit: 1, mutants: []mutant{freeBeforeFence},
			play: func(s *script) {
				s.putSlot(slot(0).Slot)
				s.add(a, c)
				s.looks("slow", s.now())
				s.does("slow", "claim 0 for a")
				s.looks("quick", s.now())
				s.wait(policy.ClaimTTL)
				s.editRun("c", ready)
				s.looks("quick", s.now())
				s.does("quick", "expire a on 0", "release 0")
				s.does("slow", "start a")
				s.looks("other", moment{s.now().runs - 1, s.now().slots}) // a is pending, c is first
				s.does("other", "claim 0 for c", "start c")
			},
		},
		"a start ignores the fence": {
			limit: 1, mutants: []mutant{startAnyVersion},
			play: func(s *script) {
				s.putSlot(slot(0).Slot)
				s.add(a, b)
				s.looks("slow", s.now())
				s.does("slow", "claim 0 for a")
				s.looks("quick", s.now())
				s.wait(policy.ClaimTTL)
				s.looks("quick", s.now())
				s.does("quick", "expire a on 0")
				s.looks("quick", s.now())
				s.does("quick", "claim 0 for b", "start b")
				s.does("slow", "start a")
			},
		},
		"a slot is claimed over another's claim": {
			limit: 1, mutants: []mutant{claimAnyVersion},
			play: func(s *script) {
				s.putSlot(slot(0).Slot)
				s.add(a, b, c)
				s.looks("slow", s.now())
				s.editRun("c", ready)
				s.looks("quick", s.now())
				s.does("quick", "claim 0 for c", "start c")
				s.does("slow", "claim 0 for a", "start a")
			},
		},
		"a slot is created by somebody who does not see what has started": {
			limit: 1, mutants: []mutant{absentFromCache},
			play: func(s *script) {
				s.add(a, b)
				early := s.now()
				s.editRun("b", start)
				s.looks("slow", early)
				s.does("slow", "claim new 0 for a", "start a")
			},
		},
		"a holder is newer than the cache of runs": {
			limit: 1, mutants: []mutant{goneFromCache},
			play: func(s *script) {
				s.putSlot(slot(0).Slot)
				s.add(b)
				early := s.now()
				s.add(a)
				s.looks("quick", s.now())
				s.does("quick", "claim 0 for a", "start a")
				s.looks("slow", moment{early.runs, s.now().slots})
				s.does("slow", "claim 0 for b", "start b")
			},
		},
		"a run with two slots is seen pending by one and started by another": {
			limit: 2, mutants: []mutant{keepStartedWith},
			play: func(s *script) {
				s.add(x.started(), a, b, c)
				s.putSlot(slot(0).of("x").Slot)
				s.putSlot(slot(1).Slot)
				early := s.now()
				s.editRun("x", finish)
				s.looks("first", s.now())
				s.does("first", "claim 0 for a")
				s.looks("second", early) // x still runs
				s.does("second", "claim 1 for a")
				s.looks("third", s.now())
				s.does("second", "start a")
				s.editRun("c", ready)
				s.looks("fourth", s.now())
				s.does("third", "claim 1 for b", "start b")
				s.does("fourth", "claim 0 for c", "start c")
			},
		},
		"a run has two slots, for one attempt each": {
			limit: 2, mutants: []mutant{keepLowest},
			play: func(s *script) {
				s.add(x.started(), a, b, c)
				s.putSlot(slot(0).Slot)
				s.putSlot(slot(1).of("x").Slot)
				s.looks("slow", s.now()) // to claim 0 for a
				s.editRun("x", finish)
				s.looks("first", s.now())
				s.does("first", "claim 1 for a")
				unfenced := s.now()
				s.looks("second", s.now())
				s.wait(policy.ClaimTTL)
				s.looks("second", s.now())
				s.does("second", "expire a on 1")
				s.wait(policy.BackoffBase)
				s.looks("second", s.now())
				s.does("second", "claim 1 for a")
				s.does("slow", "claim 0 for a")
				s.looks("third", moment{unfenced.runs, s.now().slots})
				s.does("third", "claim 1 for b", "start b")
				s.editRun("c", ready)
				pending := s.now()
				s.does("second", "start a")
				s.looks("fourth", moment{pending.runs, s.now().slots})
				s.does("fourth", "claim 0 for c", "start c")
			},
		},
	}
	for name, tc := range cases {
		for _, m := range append(tc.mutants, faithful) {
			t.Run(name+"/"+string(m), func(t *testing.T) {
				s := &script{newCluster(rand.New(rand.NewSource(1)), tc.limit, time.Hour), t, m, map[string]*replica{}}
				s.audit.SetLimit(tc.limit, s.cluster.now)
				var told []string
				s.trace = func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
				tc.play(s)
				if broken := len(s.broken) > 0; broken != (m != faithful) {
					t.Errorf("the limit is broken: %v\n%s", s.broken, strings.Join(told, "\n"))
				}
			})
		}
	}
}
