package queue

import (
	"math"
	"slices"
)

// takeSlot picks a slot below the limit to give away. A slot that still names a former holder goes
// first: handing it over saves the write that would release it.
func (d *decider) takeSlot() (Slot, bool) {
	best := -1
	for i, s := range d.spare {
		if s.Index >= d.limit {
			continue
		}
		if best < 0 || (d.spare[best].Holder == nil && s.Holder != nil) {
			best = i
		}
	}
	if best >= 0 {
		return d.takeSpare(best), true
	}
	return d.newSlot(d.limit)
}

// takeExtraSlot picks a slot above the limit.
func (d *decider) takeExtraSlot() Slot {
	if i := slices.IndexFunc(d.spare, func(s Slot) bool { return s.Index >= d.limit }); i >= 0 {
		return d.takeSpare(i)
	}
	s, _ := d.newSlot(math.MaxInt)
	return s
}

func (d *decider) takeSpare(i int) Slot {
	s := d.spare[i]
	d.spare = slices.Delete(d.spare, i, i+1)
	return s
}

// newSlot returns the lowest slot that does not exist. Slots are created when they are first
// needed, so that a limit of a million costs nothing.
func (d *decider) newSlot(below int) (Slot, bool) {
	for ; d.absent < below; d.absent++ {
		if _, exists := d.slots[d.absent]; !exists {
			s := Slot{Index: d.absent}
			d.absent++
			return s, true
		}
	}
	return Slot{}, false
}
