package queue

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Turns say when groups were served last, by the hash of their name: the higher, the later. A group
// that has none is served before those that have. Each claim under [Fair] writes them on its slot,
// and all slots of a queue together say what is known. A nil map has none.
type Turns map[string]uint64

// mostTurns is how many groups a slot remembers. Of more, those served longest ago are forgotten:
// it is their turn anyway.
const mostTurns = 64

// LongestTurns is how many bytes turns have at most, written down.
const LongestTurns = mostTurns * len("0123456789abcdef=18446744073709551615,")

// String writes turns down, sorted by group: 0123456789abcdef=7,…
func (t Turns) String() string {
	var b strings.Builder
	for i, group := range slices.Sorted(maps.Keys(t)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%d", group, t[group])
	}
	return b.String()
}

// ParseTurns reads what String wrote. An empty text has none.
func ParseTurns(text string) (Turns, error) {
	if text == "" {
		return nil, nil
	}
	wrong := fmt.Errorf("%q are not turns, e.g. 0123456789abcdef=7", Clip(text, 64))
	if len(text) > LongestTurns {
		return nil, wrong
	}
	t := Turns{}
	for part := range strings.SplitSeq(text, ",") {
		group, number, _ := strings.Cut(part, "=")
		turn, err := strconv.ParseUint(number, 10, 64)
		_, hex := strconv.ParseUint(group, 16, 64)
		if err != nil || hex != nil || len(group) != hashLength || turn == 0 || turn > mostTurn {
			return nil, wrong
		}
		t[group] = turn
	}
	if t.String() != text {
		return nil, wrong
	}
	return t, nil
}

// mostTurn leaves room to count on from a turn that was written by hand.
const mostTurn = 1 << 62

const hashLength = len("0123456789abcdef")

func hashOfGroup(name string) string {
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("%016x", h.Sum64())
}

// merged has for every group the latest turn.
func (t Turns) merged(o Turns) Turns {
	for group, turn := range o {
		if turn > t[group] {
			t[group] = turn
		}
	}
	return t
}

func (t Turns) last() (last uint64) {
	for _, turn := range t {
		last = max(last, turn)
	}
	return last
}

// among returns the turns of those groups only, of too many the latest.
func (t Turns) among(groups map[string]bool) Turns {
	kept := make(Turns, len(t))
	for group, turn := range t {
		if groups[group] {
			kept[group] = turn
		}
	}
	for len(kept) > mostTurns {
		delete(kept, slices.MinFunc(slices.Collect(maps.Keys(kept)), func(a, b string) int {
			return cmp.Or(cmp.Compare(kept[a], kept[b]), strings.Compare(a, b))
		}))
	}
	return kept
}

// turns lists the ranks of those runs that wait for a slot in the order in which they are to get
// one: by priority, and then by the discipline of the queue. It goes through the line in the order
// of events, so that this is the order of what is otherwise equal.
func (d *decider) turns() []int {
	waiting := d.lineUp.waiting[:0]
	for rank := range d.line {
		if d.line[rank].is&(isPending|isHolder) == isPending {
			waiting = append(waiting, rank)
		}
	}
	d.lineUp.waiting = waiting
	if !d.shaped {
		return waiting
	}
	priority := func(rank int) Priority { return d.line[rank].Run.Priority }
	slices.SortStableFunc(waiting, func(a, b int) int {
		if by := priority(b).Compare(priority(a)); by != 0 {
			return by
		}
		if d.spec.Order == NewestFirst {
			return d.line[a].newestFirst(&d.line[b])
		}
		return cmp.Compare(a, b)
	})
	if d.spec.Order != Fair {
		return waiting
	}
	for begin, end := 0, 0; begin < len(waiting); begin = end {
		for end = begin; end < len(waiting) && priority(waiting[end]) == priority(waiting[begin]); end++ {
		}
		d.goRound(waiting[begin:end])
	}
	return waiting
}

// newestFirst compares places by event, the newest first.
func (p *Place) newestFirst(o *Place) int {
	if p.Event.ID == o.Event.ID {
		return p.compare(o)
	}
	return o.compare(p)
}
