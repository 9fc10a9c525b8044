package simulation

import (
	"slices"
	"strings"
	"testing"
)

// race is one that breaks the limit if the product leaves out the rule that the race is about.
type race struct {
	name   string
	limit  int
	mutant string // without the rule
	play   func(*script)
}

// Of the runs, x is older than c, c than a, and a than b; c is ready when the race says so.
var races = []race{
	{
		name:  "a start is late, the run's claim is over, its slot given away",
		limit: 1, mutant: "frees the slot instead of fencing the run",
		play: func(s *script) {
			s.slot(0, "")
			s.run("c", 14, owed)
			s.run("a", 13)
			s.looks("slow", s.moment())
			s.does("slow", "claim 0 for a")
			s.looks("quick", s.moment())
			s.wait(s.policy.ClaimTTL)
			s.edit("c", "is ready", ready)
			s.looks("quick", s.moment())
			s.does("quick", "expire a")
			s.does("quick", "release 0")
			s.looks("other", s.moment())
			s.does("other", "claim 0 for c", "start c")
			s.does("slow", "start a")
		},
	},
	{
		name:  "a start comes between the freeing and the fence",
		limit: 1, mutant: "frees the slot before it has fenced the run",
		play: func(s *script) {
			s.slot(0, "")
			s.run("c", 14, owed)
			s.run("a", 13)
			s.looks("slow", s.moment())
			s.does("slow", "claim 0 for a")
			s.looks("quick", s.moment())
			s.wait(s.policy.ClaimTTL)
			s.edit("c", "is ready", ready)
			pending := s.moment()
			s.looks("quick", pending)
			s.does("quick", "release 0")
			s.does("slow", "start a")
			s.looks("other", s.moment().withRunsOf(pending))
			s.does("other", "claim 0 for c", "start c")
		},
	},
	{
		name:  "a start ignores the fence",
		limit: 1, mutant: "starts a run without its resourceVersion",
		play: func(s *script) {
			s.slot(0, "")
			s.run("a", 13)
			s.run("b", 12)
			s.looks("slow", s.moment())
			s.does("slow", "claim 0 for a")
			s.looks("quick", s.moment())
			s.wait(s.policy.ClaimTTL)
			s.looks("quick", s.moment())
			s.does("quick", "expire a")
			s.looks("quick", s.moment())
			s.does("quick", "claim 0 for b", "start b")
			s.does("slow", "start a")
		},
	},
	{
		name:  "a slot is claimed over another's claim",
		limit: 1, mutant: "claims a slot without its resourceVersion",
		play: func(s *script) {
			s.slot(0, "")
			s.run("c", 14, owed)
			s.run("a", 13)
			s.looks("slow", s.moment())
			s.edit("c", "is ready", ready)
			s.looks("quick", s.moment())
			s.does("quick", "claim 0 for c", "start c")
			s.does("slow", "claim 0 for a", "start a")
		},
	},
	{
		name:  "a slot is created by a replica that does not see what has started",
		limit: 1, mutant: "believes a cache that a slot does not exist",
		play: func(s *script) {
			s.run("a", 13)
			s.run("b", 12)
			early := s.moment()
			s.edit("b", "is started by PAC", start)
			s.looks("slow", early)
			s.does("slow", "claim 0 for a", "start a")
		},
	},
	{
		name:  "a holder is newer than the cache of runs",
		limit: 1, mutant: "believes a cache that a holder is gone",
		play: func(s *script) {
			s.slot(0, "")
			s.run("b", 12)
			early := s.moment()
			s.run("a", 13)
			s.looks("quick", s.moment())
			s.does("quick", "claim 0 for a", "start a")
			s.looks("slow", s.moment().withRunsOf(early))
			s.does("slow", "claim 0 for b", "start b")
		},
	},
	{
		name:  "a run with two slots is seen pending by one and started by another",
		limit: 2, mutant: "keeps, of two slots of a started run, the one it was started with",
		play: func(s *script) {
			s.run("x", 15, start)
			s.run("c", 14, owed)
			s.run("a", 13)
			s.run("b", 12)
			s.slot(0, "x")
			s.slot(1, "")
			early := s.moment()
			s.finish(s.is("x"))
			s.looks("first", s.moment())
			s.does("first", "claim 0 for a")
			s.looks("second", early) // x still runs
			s.does("second", "claim 1 for a")
			s.looks("third", s.moment())
			s.loses("third", "start a")
			s.does("second", "start a")
			s.edit("c", "is ready", ready)
			s.looks("fourth", s.moment())
			s.does("third", "claim 1 for b", "start b")
			s.does("fourth", "claim 0 for c", "start c")
		},
	},
	{
		name:  "a run has two slots, for one attempt each",
		limit: 2, mutant: "keeps, of two slots of a run, the lowest whatever their attempts",
		play: func(s *script) {
			s.run("x", 15, start)
			s.run("c", 14, owed)
			s.run("a", 13)
			s.run("b", 12)
			s.slot(0, "")
			s.slot(1, "x")
			s.looks("slow", s.moment()) // to claim 0 for a
			s.finish(s.is("x"))
			s.looks("first", s.moment())
			s.does("first", "claim 1 for a")
			unfenced := s.moment()
			s.looks("second", s.moment())
			s.wait(s.policy.ClaimTTL)
			s.looks("second", s.moment())
			s.does("second", "expire a")
			s.wait(s.policy.BackoffBase)
			s.looks("second", s.moment())
			s.does("second", "claim 1 for a")
			s.does("slow", "claim 0 for a")
			s.looks("third", s.moment().withRunsOf(unfenced))
			s.loses("third", "start a")
			s.does("third", "claim 1 for b", "start b")
			s.edit("c", "is ready", ready)
			pending := s.moment()
			s.does("second", "start a")
			s.looks("fourth", s.moment().withRunsOf(pending))
			s.does("fourth", "claim 0 for c", "start c")
		},
	},
}

// TestScripts: each race breaks the limit without its rule, and does not if the product keeps it.
func TestScripts(t *testing.T) {
	for _, race := range races {
		for _, mutant := range []*mutant{mutantNamed(race.mutant), {}} {
			t.Run(race.name+"/"+mutant.name, func(t *testing.T) {
				var told []string
				s := newScript(race.limit, mutant, func(line string) { told = append(told, line) })
				defer s.stopAll()
				race.play(s)
				faithful := mutant.name == ""
				if broken := len(s.broken) > 0; broken == faithful || faithful && s.problem != nil {
					t.Errorf("the limit is broken: %v; the judge says: %v\n%s", s.broken, s.problem, strings.Join(told, "\n"))
				}
			})
		}
	}
}

func mutantNamed(name string) *mutant {
	return mutants[slices.IndexFunc(mutants, func(m *mutant) bool { return m.name == name })]
}
