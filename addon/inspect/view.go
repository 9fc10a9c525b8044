package inspect

import (
	"slices"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

// View is the document of a queue.
func (q Queue) View() view.Queue {
	v := view.OfQueue(q.Snapshot, q.Standings, func(is queue.Standing) string { return q.Why(is, report.Written) })
	v.Problems = q.Troubles()
	if q.Of > 0 {
		v.TypicalRun = q.Typical.String()
	}
	for i := range v.Slots {
		v.Slots[i].Acquired = view.Optional(q.Acquired[v.Slots[i].Index])
	}
	for i := range v.Runs {
		v.Runs[i].EstimatedStart = view.Optional(q.Turns[v.Runs[i].UID])
	}
	return v
}

// ViewRun is the document of a run that is not done.
func (q Queue) ViewRun(is queue.Standing) view.Run {
	v := view.OfStanding(is, q.Why(is, report.Written))
	v.EstimatedStart = view.Optional(q.Turns[is.Run.UID])
	return v
}

// Troubles are all that an operator should look at: with the Repository, with slots and with
// annotations of runs.
func (q Queue) Troubles() []string {
	all := slices.Clone(q.Problems)
	if q.Missing {
		all = append(all, "Repository "+q.Key().String()+" does not exist: its runs wait for it.")
	}
	for _, s := range q.Snapshot.Slots {
		if s.Damaged != "" {
			all = append(all, s.Damaged+".")
		}
	}
	for _, is := range q.Runs {
		for _, p := range is.Run.Problems {
			all = append(all, "Run "+is.Run.Name+": "+p+".")
		}
	}
	return all
}
