package queue

// handBack starts nothing more, and gives the queue to PAC once nothing runs that
// this product has started: PAC's own queue counts only what it has started
// itself, so it would go above the limit. An order that cannot be read stays: it
// stops PAC's watcher for good (#2945).
func (d *decider) handBack(slots []Slot) {
	running := map[string]bool{}
	ours := false
	for _, p := range d.line {
		if p.run.Phase == Started {
			d.decision.Summary.Started++
			running[p.run.UID] = true
			ours = ours || p.run.Claim != nil
		}
	}
	for _, p := range d.line {
		if p.run.Phase != Pending || !p.run.Hidden {
			continue
		}
		d.decision.Summary.Waiting++
		if !ours && p.run.Order != nil {
			d.do(Return{Run: p.run})
		}
	}
	for _, s := range byIndex(slots) {
		if s.Holder == nil || !running[s.Holder.UID] {
			d.do(Remove{Slot: s})
		}
	}
}
