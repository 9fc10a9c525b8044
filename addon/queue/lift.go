package queue

// lift starts every run and removes every slot: a Repository without a limit has no queue. A run
// that PAC did not queue is not this product's to start, unless a slot claims it or Kueue would
// have to: the guard lets Kueue start no run that was not passed to it. A slot stays as long as the
// start of its claim may be under way: should the limit come back, its room is not free.
func (d *decider) lift(slots []Slot) {
	attempts := map[string]int{} // claimed, by run UID
	for _, s := range slots {
		if s.Holder != nil {
			attempts[s.Holder.UID] = max(attempts[s.Holder.UID], s.Holder.Attempt)
		}
	}
	claimed := map[string]bool{}
	for rank := range d.line {
		p := &d.line[rank]
		switch p.Run.Phase {
		case Started:
			d.decision.Summary.Started++
		case Pending:
			attempt, named := attempts[p.Run.UID]
			named = named && p.Run.Attempt <= attempt
			if named {
				claimed[p.Run.UID] = true
			}
			if p.Run.Order == nil && !named && p.Run.Kueue.Queue == "" {
				continue
			}
			if late, ok := d.eligible(p); ok && !d.spec.Paused {
				d.do(Start{Run: *p.Run, Token: Token{Slot: NoSlot, Attempt: p.Run.Attempt}, Late: late})
			} else {
				d.decision.Summary.Waiting++
			}
		case Done: // only its slot is left to give back
		}
	}
	for _, s := range byIndex(slots) {
		switch {
		case s.Blocked:
		case s.Damaged != "" && d.stillDamaged(s):
		case s.Holder != nil && claimed[s.Holder.UID]:
		default:
			d.do(Remove{Slot: s})
		}
	}
}
