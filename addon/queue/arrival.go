package queue

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Arrival is when a run was created, or the first run of an event, as the resourceVersion that it
// had then. It tells apart what was created in one second: the API server counts every change, and
// resourceVersions of one kind of object compare as integers (KEP-5504). The zero value says that
// it is not known.
type Arrival struct {
	Version uint64
	// AtMost says that the version is an upper bound: whoever noted it first saw the run when it
	// had changed, perhaps.
	AtMost bool
}

// Known says that there is something to compare.
func (a Arrival) Known() bool { return a.Version > 0 }

// atMost begins an upper bound.
const atMost = "<="

// String renders an arrival that is known as 1234 or, if that is an upper bound, as <=1234.
func (a Arrival) String() string {
	s := strconv.FormatUint(a.Version, 10)
	if a.AtMost {
		return atMost + s
	}
	return s
}

// ParseArrival reads what String wrote.
func ParseArrival(s string) (Arrival, error) {
	digits, bound := strings.CutPrefix(s, atMost)
	version, err := strconv.ParseUint(digits, 10, 64)
	if a := (Arrival{Version: version, AtMost: bound}); err == nil && version > 0 && a.String() == s {
		return a, nil
	}
	return Arrival{}, fmt.Errorf("%q is not a resourceVersion, e.g. 1234 or <=1234", s)
}

// compare puts what is not known last.
func (a Arrival) compare(o Arrival) int { return cmp.Compare(a.Version-1, o.Version-1) }

// or returns the one that says more about one and the same arrival: two bounds are both true, so
// the lower one does.
func (a Arrival) or(o Arrival) Arrival {
	if by := cmp.Or(a.compare(o), compareBools(a.AtMost, o.AtMost)); by <= 0 {
		return a
	}
	return o
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// first returns when an event came whose runs came then: with the first of them. It is exact only
// if that is known of all.
func (a Arrival) first(o Arrival) Arrival {
	is := a.or(o)
	is.AtMost = a.AtMost || o.AtMost || !a.Known() || !o.Known()
	return is
}

// settle finds the stamps that are owed: of events that wait and share a second, and of those of
// which only the time within a second says whose run supersedes the other's. The API server shows
// when a run was created until the run changes, so a replica that comes later would not know. From
// the first second on in which a stamp is owed, nothing is claimed.
func (d *decider) settle() {
	d.settled = len(d.line)
	var contested map[string]bool
	if d.lineUp.supersedes {
		contested = contests(d.line, d.placed, cancelsOlder, isNotDone)
	}
	if d.spec.KeepNewest {
		also := contests(d.line, d.placed, waitsFrom, waitsFrom)
		if contested == nil {
			contested = also
		} else {
			maps.Copy(contested, also)
		}
	}
	for begin, end := 0, 0; begin < len(d.line); begin = end {
		end = begin + 1
		for end < len(d.line) && d.line[end].Event.Created.Equal(d.line[begin].Event.Created) {
			end++
		}
		if d.settleSecond(begin, end, contested) {
			d.settled = min(d.settled, begin)
		}
	}
}

// settleSecond is settle for the events of one second, which are a part of the line. It says
// whether the queue waits for one of them.
func (d *decider) settleSecond(begin, end int, contested map[string]bool) (owed bool) {
	events, waiting := d.lineUp.sections[:0], 0
	for i := begin; i < end; i++ {
		p := &d.line[i]
		if i == begin || p.Event.ID != d.line[i-1].Event.ID {
			events = append(events, section{from: i})
		}
		e := &events[len(events)-1]
		e.to = i + 1
		if !e.waits && p.is&(isPending|isHolder) == isPending && !d.isSuperseded(p.Run) && d.placed(p) {
			e.waits = true
			waiting++
		}
	}
	d.lineUp.sections = events
	if waiting <= 1 && len(contested) == 0 {
		return false
	}
	for _, e := range events {
		runs := d.line[e.from:e.to]
		if !runs[0].Event.Arrived.Known() && (e.waits && waiting > 1 || contested[runs[0].Event.ID]) {
			owed = d.settleEvent(runs) || owed
		}
	}
	return owed
}

// section is the runs of one event in a line of places.
type section struct {
	from, to int
	// waits says that one of them could be claimed.
	waits bool
}

// settleEvent has the last run of an event stamped that is not done, since it is there for longest,
// but rather one on which PAC has written the order already, since PAC is through with it. It says
// whether the queue waits for the stamp: as long as the watch has not shown all of the event, which
// is a matter of moments, and as long as writing has not failed for longer than a claim may keep
// failing. After that, each replica goes by what it has seen.
func (d *decider) settleEvent(runs []Place) (waits bool) {
	var to *Place
	unseen := false
	for i := range runs {
		p := &runs[i]
		unseen = unseen || p.Run.Unseen
		if p.Run.Phase != Done && (to == nil || p.Run.Order != nil || to.Run.Order == nil) {
			to = p
		}
	}
	switch {
	case to == nil:
		return false
	case unseen && d.now.Before(to.Run.Created.Add(d.policy.OrderGrace)):
		d.wake(to.Run.Created.Add(d.policy.OrderGrace))
		return true
	case !to.Came.Known():
		return false
	case to.Run.Unwritten.IsZero():
		d.owed = append(d.owed, Stamp{Run: *to.Run, Arrival: to.Came})
		return true
	}
	until := to.Run.Unwritten.Add(d.policy.ClaimTTL)
	if !d.now.Before(until) {
		return false
	}
	d.wake(until)
	d.owed = append(d.owed, Stamp{Run: *to.Run, Arrival: to.Came})
	return true
}

// stamp writes the stamps that are owed, after the claims that do not wait for them.
func (d *decider) stamp() {
	for _, s := range d.owed {
		d.do(s)
	}
}

// placed says that the run's event is known, or will never be.
func (d *decider) placed(p *Place) bool {
	return p.Ordered || p.Run.Order != nil || p.Run.Phase == Started ||
		!d.now.Before(p.Run.Created.Add(d.policy.OrderGrace))
}
