package recovery

import (
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Leadership says who acts first on which queues. The queues are divided into parts, and a part has
// one leader; if parts cannot be told apart, all queues are one.
type Leadership struct {
	// Leads says whether this replica leads a queue.
	Leads func(queue.Key) bool
	// Part names the part that a queue is in.
	Part func(queue.Key) string
	// Leader is the replica that leads a part, as its writes carry its name; empty if none does. It
	// is false if this replica cannot tell.
	Leader func(part string) (name string, known bool)
}

// life is what this replica has seen of the others at work in one part of the queues, by its own
// clock. What they are seen to write proves life; the renewal of a leader's lease does not, since a
// process can renew it and do nothing else.
type life struct {
	leader time.Time // its last write
	others time.Time // that of any other replica, or of one that cannot be told
	// replacing is until when this replica acts on queues in place of a leader that was silent.
	replacing time.Time
	// tried is the round in which this replica last took over a queue without replacing the leader
	// yet, and trying the first such round since which it has seen neither a write of its own nor
	// one of the leader.
	tried, trying time.Time
	// pace is how long the slowest recent trial took, and paced is when the last one ended.
	pace  time.Duration
	paced time.Time
}

// silent says that there is nobody to wait for. Whoever acts for a dead leader waits for no other
// that does so, too; everyone else does.
func (l life) silent(now time.Time, t Timing) bool {
	enough := l.silence(now, t)
	quiet := func(last time.Time) bool { return now.Sub(last) >= enough }
	return quiet(l.leader) && (now.Before(l.replacing) || quiet(l.others))
}

// silence is how long a living leader may write nothing: longer than usual where this replica's own
// writes have lately taken long to show. What slows one replica down slows the others, too.
func (l life) silence(now time.Time, t Timing) time.Duration {
	return min(max(t.TakeoverAfter, slack*l.lately(now, t)), t.acting())
}

// lately is the pace, if it is not too old to say anything.
func (l life) lately(now time.Time, t Timing) time.Duration {
	if now.Sub(l.paced) >= t.late() {
		return 0
	}
	return l.pace
}

// measure ends a trial, which begins when this replica takes over a queue: its watches have just
// shown a write of its own, or of the leader. How long the trial took is the pace, unless a recent
// one took longer.
func (l *life) measure(now time.Time, t Timing) {
	if l.trying.IsZero() {
		return
	}
	l.pace = max(l.lately(now, t), now.Sub(l.trying))
	l.paced, l.trying = now, time.Time{}
}

// mayTake says whether this replica may begin to act on one more queue of a part whose leader is
// silent, and notes that it does. A leader also looks silent to a replica whose watches lag. So the
// replica takes over a single queue in each round until its watches show what it has written
// itself: then they are alive, and it replaces the leader in all of them, unless so short a silence
// says nothing where writes take that long.
func (l *Loop) mayTake(part string, now time.Time, t Timing) bool {
	is := l.lives[part]
	switch {
	case now.Before(is.replacing):
		is.replacing = now.Add(t.acting())
	case now.After(is.tried):
		is.tried = now
		if is.trying.IsZero() {
			is.trying = now
		}
	default:
		return false
	}
	l.lives[part] = is
	return true
}

// Progress notes that some replica has written to a queue. The writer is empty if the write does
// not tell: in a queue that this replica leads or acts on it is then taken for its own.
func (l *Loop) Progress(key queue.Key, writer string) {
	mayBeOwn := writer == l.Name || writer == ""
	if mayBeOwn && l.Leadership.Leads(key) {
		return
	}
	part, timing := l.Leadership.Part(key), l.Timing()
	leader, known := l.Leadership.Leader(part)
	l.mu.Lock()
	defer l.mu.Unlock()
	now, is := l.Clock.Now(), l.lives[part]
	switch {
	case mayBeOwn && l.acts(key):
		is.measure(now, timing)
		if now.Sub(is.leader) >= is.silence(now, timing) {
			is.replacing = now.Add(timing.acting())
		}
	case writer == l.Name: // an answer that came late
	case writer != "" && (writer == leader || !known):
		is.measure(now, timing)
		is.leader = now
	default:
		is.others = now
	}
	l.lives[part] = is
}
