package queue

// lift lets go of everything: a Repository without a limit has no queue. A slot
// stays as long as the start of its claim may be under way: should the limit come
// back, its room is not free.
func (d *decider) lift(slots []Slot) {
	pending := map[string]Run{} // by UID
	for _, p := range d.line {
		switch p.run.Phase {
		case Started:
			d.decision.Summary.Started++
		case Pending:
			pending[p.run.UID] = p.run
			if !p.run.Held {
				continue // somebody else's: PAC holds nothing here
			}
			if late, ok := d.eligible(p); ok {
				d.do(Start{Run: p.run, Token: Token{Slot: NoSlot, Attempt: p.run.Attempt}, Late: late})
			} else {
				d.decision.Summary.Waiting++
			}
		}
	}
	for _, s := range byIndex(slots) {
		if s.Damaged != "" && d.stillDamaged(s) {
			continue
		}
		if s.Holder != nil {
			if run, ok := pending[s.Holder.UID]; ok && run.Attempt <= s.Holder.Attempt {
				continue
			}
		}
		d.do(Remove{Slot: s})
	}
}
