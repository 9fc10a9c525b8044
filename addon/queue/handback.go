package queue

import "time"

// handBack starts nothing more, and gives the queue to PAC once no run that this product started is
// running: PAC's own queue counts only the runs that it started itself, so it would exceed the
// limit. A run with a malformed order stays: the order would stop PAC's watcher for good (#2945).
// One that is Kueue's to start goes to Kueue, without an order.
func (d *decider) handBack(slots []Slot) {
	running := map[string]bool{}
	ours := false
	for _, p := range d.line {
		if p.Run.Phase == Started {
			d.decision.Summary.Started++
			running[p.Run.UID] = true
			ours = ours || p.Run.Claim != nil && !p.Run.WaitsForKueue() && !d.isIdle(p.Run, time.Time{}, false)
		}
	}
	for _, p := range d.line {
		if p.Run.Phase != Pending || !p.Run.Held() || p.Run.Labelled {
			continue
		}
		d.decision.Summary.Waiting++
		if !ours && (p.Run.Kueue.Admits || !p.Run.Order.Malformed()) {
			d.do(HandBack{Run: *p.Run})
		}
	}
	for _, s := range byIndex(slots) {
		if s.Holder == nil || !running[s.Holder.UID] {
			d.do(Remove{Slot: s})
		}
	}
}
