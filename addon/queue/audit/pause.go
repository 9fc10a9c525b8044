package audit

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// maxPauses bounds how many unused slots are remembered, however absurd a limit.
const maxPauses = 10_000

// pause takes up a unit of the limit and says how long it and the run had waited for each other.
func (a *Auditor) pause(r *record, at time.Time) time.Duration {
	free := a.limited
	if a.limit != queue.Unlimited {
		if len(a.freed) == 0 {
			return 0
		}
		free, a.freed = a.freed[0], a.freed[1:]
	}
	if r.eligibleAt.IsZero() {
		return 0
	}
	return at.Sub(latest(free, r.eligibleAt))
}

// countFree notes when capacity came free; the units that are free longest stay noted.
func (a *Auditor) countFree(at time.Time) {
	free := max(0, min(int(a.limit)-a.started(), maxPauses))
	for len(a.freed) < free {
		a.freed = append(a.freed, at)
	}
	a.freed = a.freed[:free]
}
