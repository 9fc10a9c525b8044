package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/upstream"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/usage"
)

const (
	// runTime is how long a run takes in the burst, briefTime in a lone queue and in a long one.
	runTime   = time.Second
	briefTime = 200 * time.Millisecond
	// players is how many runs Tekton and PAC attend to at a time.
	players = 16
	// deadline bounds each wait. It fails what gets stuck, and measures nothing.
	deadline = 15 * time.Minute
	// patience bounds the wait until the add-on has written all texts about the waiting runs. With
	// 100,000 runs that takes hours by the default texts.perSecond; VALUES can raise it.
	patience = time.Hour

	loneRuns  = 40
	wideLimit = 100
	shortLine = 50
	// lineStarts is how many starts of a line are measured.
	lineStarts = 50
	idleRuns   = 10
	idleTime   = 20 * time.Second
	// lifeTime is how long a run takes whose leader is killed, and killBefore how long before its
	// end that happens: the leader has nothing to do then, and the next one has not noticed.
	lifeTime   = 5 * time.Second
	killBefore = 50 * time.Millisecond
)

// figures are what was measured of a contender, by name. Times are in seconds, memory in MiB.
type figures map[string]float64

// The names of figures.
const (
	perSecond  = "starts per second"
	creating   = "creating the runs"
	p50        = "p50"
	p95        = "p95"
	p99        = "p99"
	filling    = "filling"
	cores      = "cores"
	memory     = "memory"
	perStart   = "CPU of a start"
	queued     = "runs queued"
	restarting = "restarting a replica"
	takenOver  = "queues taken over"
	// requestsOf begins the figures that are requests per run.
	requestsOf = "requests per run: "
	refusedOf  = "refused per run: "
)

// measure is something that is measured of some contenders.
type measure struct {
	name, about string
	of          []string
	take        func(context.Context, *session) (figures, error)
	// values are those of the add-on's chart, besides the user's.
	values []string
}

// fastTexts has the texts of thousands of runs written before anything is measured: at the default
// pace, that takes a quarter of an hour.
var fastTexts = []string{"texts.perSecond=1000"}

var measures = []measure{
	{"burst", "many queues begin at once", order, burst, nil},
	{"lone", "one queue alone", order, lone, nil},
	{"fill", fmt.Sprintf("a limit rises to %d", wideLimit), []string{floorName, leaseName, kueueName}, fill, nil},
	{"short", fmt.Sprintf("a queue in which %d runs wait", shortLine), []string{leaseName}, shortQueue, fastTexts},
	{"long", "a queue in which thousands of runs wait", []string{leaseName}, longQueue, fastTexts},
	{"idle", "replicas come up to many queues, in which nothing happens then", []string{leaseName}, idle, fastTexts},
	{"death", "the leader is killed", []string{leaseName}, death, nil},
	{"board", fmt.Sprintf("%d pages are open, and a queue changes", openPages), []string{leaseName}, readers, boardValues},
}

// session is one contender at work on one load.
type session struct {
	*bench
	contender contender
	who       string
	what      measure
	load      load
	limit     int // of each queue at present
	record    *record
	began     int64 // in the audit log
	took      int   // queues that had been taken over by then
	used      time.Duration
	at        time.Time
	last      bool // nothing is measured after it
	before    bool // the runs are there before the contender is
}

// on sets up the queues and the contender, does something, and takes all away.
func (s *session) on(ctx context.Context, l load, limit int, runTime time.Duration, do func(context.Context) error) (err error) {
	l.name = fmt.Sprintf("%s-%s-%d", s.what.name, s.who, s.round)
	s.load = newLoad(l.name, len(l.queues), l.runs, l.event)
	if err := s.prepare(ctx, s.load, limit); err != nil {
		return err
	}
	s.limit = limit
	playing, stop := context.WithCancel(ctx)
	defer stop()
	all, playing := errgroup.WithContext(playing)
	s.record = newRecord(playing, s.etcd, s.load.name+"-")
	if s.before {
		if err := s.create(ctx, s.load); err != nil {
			return err
		}
	}
	if err := s.contender.up(ctx, limit); err != nil {
		return err
	}
	defer func() {
		if !s.last { // else all goes with the stack, and deleting 100,000 runs takes half an hour
			err = errors.Join(err, s.remove(ctx, s.load), s.contender.down(ctx))
		}
	}()
	c := upstream.Config{RunTime: runTime, Players: players, Tekton: s.tekton}
	if !s.contender.marks() {
		c.PAC = &s.pac
	}
	all.Go(func() error { return upstream.New(c).Play(playing) })
	if s.began, err = s.audit.mark(); err == nil {
		s.took, err = s.takeovers()
	}
	if err == nil {
		s.used, s.at = s.cpu(), time.Now()
		err = do(playing)
	}
	if most := s.record.mostStarted(); err == nil && most > s.limit {
		err = fmt.Errorf("%s, %s: %d runs of a queue ran at a time, its limit is %d", s.what.name, s.who, most, s.limit)
	}
	stop()
	return errors.Join(err, all.Wait())
}

// cpu is the CPU time of all processes of the contender so far.
func (s *session) cpu() (used time.Duration) {
	for _, pid := range s.contender.pids() {
		one, _ := usage.CPU(pid) // one that was killed has none
		used += one
	}
	return used
}

// resident is the memory of the largest process of the contender.
func (s *session) resident() (most int64) {
	for _, pid := range s.contender.pids() {
		one, _ := usage.Resident(pid)
		most = max(most, one)
	}
	return most
}

// account adds the requests, the takeovers, the CPU and the memory since the beginning.
func (s *session) account(f figures) error {
	counts, err := s.audit.since(s.began, s.contender.users())
	if err != nil {
		return err
	}
	for what, c := range counts {
		f[requestsOf+what] = float64(c.Answered) / float64(s.load.total())
		if c.Refused > 0 {
			f[refusedOf+what] = float64(c.Refused) / float64(s.load.total())
		}
	}
	if s.who == leaseName {
		took, err := s.takeovers()
		if err != nil {
			return err
		}
		f[takenOver] = float64(took - s.took)
	}
	if len(s.contender.pids()) > 0 {
		f[cores] = float64(s.cpu()-s.used) / float64(time.Since(s.at))
		f[memory] = float64(s.resident() >> 20)
	}
	return nil
}

// takeovers counts the queues that replicas have taken over from their leader, by what they log.
func (b *bench) takeovers() (n int, err error) {
	logs, err := filepath.Glob(filepath.Join(b.LogsDir(), addonNamespace+"-*.log"))
	if err != nil {
		return 0, err
	}
	for _, path := range logs {
		log, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		n += bytes.Count(log, []byte(`"recovery takes over a queue"`))
	}
	return n, nil
}

// pauses adds the quantiles of the pauses, and returns these.
func (s *session) pauses(f figures) (sorted []time.Duration) {
	sorted = s.record.pauses(s.limit)
	for name, part := range map[string]float64{p50: 0.5, p95: 0.95, p99: 0.99} {
		f[name] = quantile(sorted, part).Seconds()
	}
	return sorted
}

// burst has many queues begin at once.
func burst(ctx context.Context, s *session) (figures, error) {
	f := figures{}
	l := newLoad("", s.config.Queues, s.config.Runs, s.config.Event)
	err := s.on(ctx, l, s.config.Limit, runTime, func(ctx context.Context) error {
		began := time.Now()
		if err := s.create(ctx, s.load); err != nil {
			return err
		}
		f[creating] = time.Since(began).Seconds()
		if err := s.record.await(ctx, "all runs of the burst are done", deadline, 0, 0, s.load.total()); err != nil {
			return err
		}
		f[perSecond] = float64(s.load.total()) / s.record.span().Seconds()
		s.keep(s.what, s.who, s.pauses(f))
		return s.account(f)
	})
	return f, err
}

// lone has one queue work by itself.
func lone(ctx context.Context, s *session) (figures, error) {
	f := figures{}
	err := s.on(ctx, newLoad("", 1, loneRuns, 1), 1, briefTime, func(ctx context.Context) error {
		if err := s.create(ctx, s.load); err != nil {
			return err
		}
		if err := s.record.await(ctx, "all runs of the queue are done", deadline, 0, 0, loneRuns); err != nil {
			return err
		}
		s.keep(s.what, s.who, s.pauses(f))
		return s.account(f)
	})
	return f, err
}

// fill raises the limit of a queue in which as many runs wait.
func fill(ctx context.Context, s *session) (figures, error) {
	f := figures{}
	err := s.on(ctx, newLoad("", 1, wideLimit, 1), 1, 0, func(ctx context.Context) error {
		if err := s.create(ctx, s.load); err != nil {
			return err
		}
		if err := s.record.await(ctx, "the runs are there", deadline, wideLimit, 1, 0); err != nil {
			return err
		}
		if err := s.audit.settled(ctx, s.contender.users(), deadline); err != nil {
			return err
		}
		began := time.Now()
		s.limit = wideLimit
		if err := s.contender.raise(ctx, s.load, s.limit); err != nil {
			return err
		}
		if err := s.record.await(ctx, "all are started", deadline, 0, wideLimit, 0); err != nil {
			return err
		}
		starts := s.record.starts()
		f[filling] = starts[len(starts)-1].Sub(began).Seconds()
		return nil
	})
	return f, err
}

func shortQueue(ctx context.Context, s *session) (figures, error) { return queueOf(ctx, s, shortLine) }

func longQueue(ctx context.Context, s *session) (figures, error) {
	return queueOf(ctx, s, s.config.Long)
}

// queueOf measures what a start costs the replicas in a queue of some length. The first run ends
// only when all are there and the queue has come to rest.
func queueOf(ctx context.Context, s *session, waiting int) (figures, error) {
	f := figures{}
	err := s.on(ctx, newLoad("", 1, waiting+lineStarts, 1), 1, 0, func(ctx context.Context) error {
		if err := s.create(ctx, s.load); err != nil {
			return err
		}
		if err := s.record.await(ctx, "the runs are there", deadline, s.load.total(), 1, 0); err != nil {
			return err
		}
		if err := s.audit.settled(ctx, s.contender.users(), deadline); err != nil {
			return err
		}
		used := s.cpu()
		ending, stop := context.WithCancel(ctx)
		defer stop()
		ends := upstream.New(upstream.Config{RunTime: briefTime, Players: players, Tekton: s.tekton})
		failed := make(chan error, 1)
		go func() { failed <- ends.Play(ending) }()
		if err := s.record.await(ctx, "some runs are started", deadline, 0, 1+lineStarts, 0); err != nil {
			return err
		}
		f[perStart] = (s.cpu() - used).Seconds() / lineStarts
		s.pauses(f)
		stop()
		return <-failed
	})
	return f, err
}

// idle measures what many queues cost in which nothing happens, after replicas have come up that
// find them all.
func idle(ctx context.Context, s *session) (figures, error) {
	f := figures{}
	s.before = true
	err := s.on(ctx, newLoad("", s.config.Idle, idleRuns, 1), 1, 0, func(ctx context.Context) error {
		if err := s.rest(ctx); err != nil {
			return err
		}
		used, began := s.cpu(), time.Now()
		if err := await.Pause(ctx, idleTime); err != nil {
			return err
		}
		f[cores] = float64(s.cpu()-used) / float64(time.Since(began)) / float64(len(s.contender.pids()))
		f[memory], f[queued] = float64(s.resident()>>20), float64(s.load.total())
		return s.restart(ctx, f)
	})
	return f, err
}

// rest waits until each of many queues has a run started, and nothing happens any more.
func (s *session) rest(ctx context.Context) error {
	if err := s.record.await(ctx, "each queue has a run started", deadline, s.load.total(), s.config.Idle, 0); err != nil {
		return err
	}
	return s.audit.settled(ctx, s.contender.users(), patience)
}

// restart measures how long a replica takes that comes up beside another one.
func (s *session) restart(ctx context.Context, f figures) error {
	one := s.contender.(*leaseContender).addon.Replicas()[0]
	if err := one.Kill(); err != nil {
		return err
	}
	began := time.Now()
	if err := one.Start(ctx); err != nil {
		return err
	}
	f[restarting] = time.Since(began).Seconds()
	return nil
}

// death kills the leader just before a slot is freed, again and again.
func death(ctx context.Context, s *session) (figures, error) {
	f := figures{}
	addon := s.contender.(*leaseContender)
	err := s.on(ctx, newLoad("", 1, s.config.Kills+1, 1), 1, lifeTime, func(ctx context.Context) error {
		if err := s.create(ctx, s.load); err != nil {
			return err
		}
		for i := range s.config.Kills {
			if err := s.record.await(ctx, "the next run is started", deadline, 0, i+1, i); err != nil {
				return err
			}
			leader, err := addon.addon.Leader(ctx, s.load.queues[0])
			if err != nil {
				return err
			}
			starts := s.record.starts()
			if err := await.Pause(ctx, time.Until(starts[len(starts)-1].Add(lifeTime-killBefore))); err != nil {
				return err
			}
			if err := leader.Kill(); err != nil {
				return err
			}
			if err := s.record.await(ctx, "a run is started after the death of the leader", deadline, 0, i+2, 0); err != nil {
				return err
			}
			if err := leader.Start(ctx); err != nil {
				return err
			}
		}
		s.keep(s.what, s.who, s.pauses(f))
		return nil
	})
	return f, err
}
