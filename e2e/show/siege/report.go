package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// Budgets.
const (
	// mostSlower is how many times as long as on the idle stack an honest start may take.
	mostSlower = 3
	// mostBusy is how many times as slow as on the idle stack the floor may be before the report
	// says that it was.
	mostBusy = 5
	// mostSudden is how long an honest start may take in a sudden attack, if the floor is as fast
	// as on the idle stack.
	mostSudden = time.Second
	// mostVisit is how long an honest reader may wait for a page of the board in any case.
	mostVisit = 250 * time.Millisecond
	// mostAtRest is how much of a core a replica may use more than on the idle stack once the
	// tenants rest: nothing is decided again while nothing changes. What their runs are still doing
	// does change: each version of a run with 900 KiB of scripts takes 8 ms to decode.
	mostAtRest = 0.35
	// mostDecisions is how many decisions a second a replica may make more than on the idle stack
	// once the tenants rest: a queue in which nothing changes is decided when it comes due only.
	// The honest queues make some 60 to 130, as fast as the machine is.
	mostDecisions = 150
	// mostDeciding is how much of a core decisions may occupy more than on the idle stack: their
	// cost grows with a queue as the queue does.
	mostDeciding = 0.4
)

// measured is one phase and what it cost.
type measured struct {
	phase
	siege *siege
	tally tally
	// Starts are measured from the time of the assault on, everything else from the beginning.
	began, assault, ended time.Time
	memory                int64 // the most that a replica had
	// Cores that the busiest replica used during the assault, and while the tenants rested.
	busy, rest float64
	// Deciding is how much of a core decisions occupied during the assault in the busiest replica.
	// Decisions is how many it made in a second while the tenants rested.
	deciding, decisions float64
	// Warned says that a tenant got the Warning of the attack.
	warned bool
	// Starts are the pauses between the time at which a run could start and its start.
	first, next []time.Duration
	floor       floors
	// visits are how long an honest reader waited for pages of the board.
	visits []time.Duration
}

func (s *siege) measure(p phase) *measured {
	return &measured{phase: p, siege: s, tally: tally{says: map[string]int{}}}
}

func (m *measured) begin() {
	m.siege.containers.reset()
	m.began = time.Now()
	m.assault = m.began
}

// takeRest measures what the replicas use for a while.
func (m *measured) takeRest(ctx context.Context, d time.Duration) error {
	decisions := m.siege.containers.decisions(ctx)
	used := m.siege.containers.cores()
	if err := await.Pause(ctx, d); err != nil {
		return err
	}
	m.rest = used()
	m.decisions, m.deciding = decisions()
	return nil
}

func (m *measured) end() {
	m.ended = time.Now()
	m.memory = m.siege.containers.peak()
}

// take measures for a while in which nothing else happens.
func (m *measured) take(ctx context.Context, d time.Duration) error {
	m.begin()
	if err := m.takeRest(ctx, d); err != nil {
		return err
	}
	m.end()
	return nil
}

// line sums up what became of the requests.
func (m *measured) line() string {
	return fmt.Sprintf("%d requests, %d let through, %d refused; replicas had %s at most, and used %.2f of a core at rest",
		m.tally.tried.Load(), m.tally.admitted.Load(), m.tally.refused.Load(), mebibytes(m.memory), m.rest)
}

// report is the outcome of a siege.
type report struct {
	Config      config
	Settings    string // that repeat the siege
	Limit       int64  // of a container, in bytes
	Uncontained error  // see containers
	Idle        *measured
	Phases      []*measured
	Restarts    []string
	Violations  []string // of honest queues, and of limits of the tenants' queues
}

// judge audits the honest queues, and finds the phase in which each start was due.
func (s *siege) judge(r *report) error {
	all := append([]*measured{r.Idle}, r.Phases...)
	of := func(at time.Time) *measured {
		for _, m := range all {
			if !at.Before(m.assault) && at.Before(m.ended) {
				return m
			}
		}
		return nil
	}
	for _, q := range s.honestQueues() {
		auditor, err := q.recorder.Audit(q.key)
		if err != nil {
			return err
		}
		audited := auditor.Finish(time.Now())
		for _, v := range audited.Violations {
			r.Violations = append(r.Violations, fmt.Sprintf("%s: %s", q.key, v))
		}
		for i, start := range audited.Starts {
			m := of(start.At.Add(-start.Pause))
			switch {
			case m == nil:
			case i == 0:
				m.first = append(m.first, start.Pause)
			default:
				m.next = append(m.next, start.Pause)
			}
		}
	}
	for _, m := range all {
		m.floor = s.floor.during(m.assault, m.ended)
		m.visits = s.visitor.during(m.assault, m.ended)
	}
	r.Violations = append(r.Violations, s.visitor.refused...)
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	r.Violations = append(r.Violations, s.limits.broken...)
	return nil
}

// times describes some durations.
func times(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	return fmt.Sprintf("%s %s (%d)", show.Brief(median(all)), show.Brief(slices.Max(all)), len(all))
}

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// ratio is how many times as long as on the idle stack something takes.
func ratio(now, idle []time.Duration) float64 {
	if len(now) == 0 || median(idle) == 0 {
		return 0
	}
	return float64(median(now)) / float64(median(idle))
}

// broken lists what went wrong, one line each.
func (r report) broken() []string {
	lines := append(slices.Clone(r.Violations), r.Restarts...)
	for _, m := range r.Phases {
		name := m.title()
		for _, kind := range []struct {
			what             string
			now, idle        []time.Duration
			floor, idleFloor []time.Duration
		}{
			{"the first start of an honest queue", m.first, r.Idle.first, m.floor.first, r.Idle.floor.first},
			{"an honest start", m.next, r.Idle.next, m.floor.next, r.Idle.floor.next},
		} {
			busy := slowdown(kind.floor, kind.idleFloor)
			if slower := ratio(kind.now, kind.idle); slower > mostSlower*busy {
				lines = append(lines, fmt.Sprintf("%s: %s takes %.1f times as long as on the idle stack, %.1f times is the most",
					name, kind.what, slower, mostSlower*busy))
			}
			// mostSudden is multiplied by what the floor shows of the machine, stalls included.
			most := max(time.Duration(busy*float64(mostSudden)), mostSlower*slowest(kind.floor))
			if m.sudden && slowest(kind.now) > most {
				lines = append(lines, fmt.Sprintf("%s: %s takes %s at the worst, %s is the most",
					name, kind.what, show.Brief(slowest(kind.now)), show.Brief(most)))
			}
		}
		most := max(mostVisit, time.Duration(mostSlower*slowdown(m.floor.next, r.Idle.floor.next)*float64(median(r.Idle.visits))))
		if is := median(m.visits); is > most {
			lines = append(lines, fmt.Sprintf("%s: an honest reader waits %s for a page of the board, %s is the most",
				name, show.Brief(is), show.Brief(most)))
		}
		if m.warns != "" && !m.guarded && !m.warned {
			lines = append(lines, fmt.Sprintf("%s: no Warning tells a tenant %q", name, m.warns))
		}
		if r.Uncontained != nil && m.memory > r.Limit {
			lines = append(lines, fmt.Sprintf("%s: a replica had %s, its container has %s", name, mebibytes(m.memory), mebibytes(r.Limit)))
		}
		if more := m.rest - r.Idle.rest; more > mostAtRest {
			lines = append(lines, fmt.Sprintf(
				"%s: a replica used %.2f of a core more than on the idle stack while the tenants rested, %.2f is the most",
				name, more, mostAtRest))
		}
		if more := m.decisions - r.Idle.decisions; more > mostDecisions {
			lines = append(lines, fmt.Sprintf(
				"%s: a replica made %.0f decisions a second more than on the idle stack while the tenants rested, %d is the most",
				name, more, mostDecisions))
		}
		if more := m.deciding - r.Idle.deciding; more > mostDeciding {
			lines = append(lines, fmt.Sprintf(
				"%s: decisions occupied %.2f of a core more than on the idle stack, %.1f is the most", name, more, mostDeciding))
		}
	}
	return lines
}

// slowdown is how many times as long as on the idle stack the floor took, and at least 1.
func slowdown(floor, idle []time.Duration) float64 { return max(1, ratio(floor, idle)) }

func slowest(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Max(all)
}

// busy lists the phases in which the machine was so busy that starts are judged leniently.
func (r report) busy() (names []string) {
	for _, m := range r.Phases {
		if ratio(m.floor.next, r.Idle.floor.next) > mostBusy {
			names = append(names, m.title())
		}
	}
	return names
}

// title names the phase.
func (m *measured) title() string {
	if m.guarded {
		return m.name
	}
	return m.name + " without the guard"
}

// besideFloor has five cells of the report: starts and, beside them, the floor.
func besideFloor(starts, idle, floor, idleFloor []time.Duration) string {
	slower := ratio(starts, idle)
	return fmt.Sprintf("%s\t%.1f\t%.1f\t%s\t%.1f",
		times(starts), slower, slower/slowdown(floor, idleFloor), times(floor), ratio(floor, idleFloor))
}

// text writes the report for people.
func (r report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIEGE with seed %d and %s: %s of attacks by tenants with the role edit\n\n",
		r.Config.Seed, show.Count(r.Config.Replicas, "replica"), r.Config.Duration)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join([]string{
		"attack", "guard", "tried", "let through", "refused",
		"first start", "times idle", "times floor", "floor", "times idle",
		"next start", "times idle", "times floor", "floor", "times idle",
		"page of the board", "memory", "core in assault", "core deciding", "core at rest", "decisions/s at rest",
	}, "\t"))
	for _, m := range append([]*measured{r.Idle}, r.Phases...) {
		guard := map[bool]string{true: "on", false: "off"}[m.guarded]
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t%.2f\t%.0f\n", m.name, guard,
			m.tally.tried.Load(), m.tally.admitted.Load(), m.tally.refused.Load(),
			besideFloor(m.first, r.Idle.first, m.floor.first, r.Idle.floor.first),
			besideFloor(m.next, r.Idle.next, m.floor.next, r.Idle.floor.next),
			times(m.visits), mebibytes(m.memory), m.busy, m.deciding, m.rest, m.decisions)
	}
	_ = table.Flush()
	fmt.Fprintf(&b, "\nStarts: median, worst and number of the honest runs that could start in this time. "+
		"Floor: the same of two bare writes, after a list if it is a first start.\n"+
		"Times idle: compared with the idle stack. Times floor: that, divided by the same of the floor; %d is the most.\n"+
		"Memory: the most that a replica had of the %s of its container. Restarts: %d.\n",
		mostSlower, mebibytes(r.Limit), len(r.Restarts))
	if r.Uncontained != nil {
		fmt.Fprintf(&b, "The replicas are in no control groups, so that this program bounds their resident memory and their "+
			"garbage collectors know of no limit: %v.\n", r.Uncontained)
	}
	if busy := r.busy(); len(busy) > 0 {
		fmt.Fprintf(&b, "The floor was more than %d times as slow as on the idle stack, so that starts say little of the add-on: %s.\n",
			mostBusy, strings.Join(busy, ", "))
	}
	broken := r.broken()
	if len(broken) == 0 {
		b.WriteString("OK: every limit held, no replica restarted, and the honest queues went on.")
		return b.String()
	}
	const most = 40
	more := ""
	if len(broken) > most {
		more = fmt.Sprintf("\n  and %d more", len(broken)-most)
		broken = broken[:most]
	}
	fmt.Fprintf(&b, "BROKEN:\n  %s%s\nTo repeat this siege: make siege %s", strings.Join(broken, "\n  "), more, r.Settings)
	return b.String()
}
