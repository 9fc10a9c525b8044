package queue

import (
	"cmp"
	"container/heap"
)

// served is what a decision under [Fair] knows of the turns of groups, and goes on counting.
type served struct {
	turns Turns
	last  uint64
	// present are the groups that have a run in line.
	present map[string]bool
}

// group is the runs of a group that wait, in order, by their ranks in the line.
type group struct {
	name  string
	ranks []int
	turn  uint64
}

// round are the groups, that first whose turn it is: the one that was served longest ago, and of
// those that nobody remembers the one with the oldest run.
type round []*group

func (r round) Len() int      { return len(r) }
func (r round) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r round) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(r[i].turn, r[j].turn), cmp.Compare(r[i].ranks[0], r[j].ranks[0])) < 0
}
func (r *round) Push(g any) { *r = append(*r, g.(*group)) }

func (r *round) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// goRound puts runs of one priority, which are in the order of events, into that of [Fair].
func (d *decider) goRound(ranks []int) {
	byName := map[string]*group{}
	var all round
	for _, rank := range ranks {
		name := d.groupOf(rank)
		g := byName[name]
		if g == nil {
			g = &group{name: name, turn: d.served.turns[name]}
			byName[name] = g
			all = append(all, g)
		}
		g.ranks = append(g.ranks, rank)
	}
	heap.Init(&all)
	last := d.served.last
	for i := range ranks {
		g := all[0]
		ranks[i] = g.ranks[0]
		g.ranks = g.ranks[1:]
		last++
		if g.turn = last; len(g.ranks) == 0 {
			heap.Pop(&all)
		} else {
			heap.Fix(&all, 0)
		}
	}
}

func (d *decider) groupOf(rank int) string {
	return hashOfGroup(d.spec.FairBy.Group(d.line[rank].Run.Origin))
}

// remember collects the turns that the slots have.
func (d *decider) remember(slots []Slot) {
	if d.spec.Order != Fair {
		return
	}
	d.served.turns = Turns{}
	for _, s := range slots {
		d.served.turns.merged(s.Turns)
	}
	d.served.last = d.served.turns.last()
}

// serve notes that the run gets a slot, and returns the turns to be written on that: those of the
// groups that still have a run in line.
func (d *decider) serve(rank int) Turns {
	if d.spec.Order != Fair {
		return nil
	}
	if d.served.present == nil {
		d.served.present = map[string]bool{}
		for rank := range d.line {
			if d.line[rank].Run.Phase != Done {
				d.served.present[d.groupOf(rank)] = true
			}
		}
	}
	d.served.last++
	d.served.turns[d.groupOf(rank)] = d.served.last
	return d.served.turns.among(d.served.present)
}
