package simulation

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// death is a story of a leader that has died. Without its rule, the survivors leave a queue alone.
type death struct {
	name, mutant string
	survivors    int
	play         func(*afterlife)
}

// afterlife has a dead leader of all queues and replicas that survive it, in a cluster without
// faults.
type afterlife struct {
	*Cluster
	app, web, api queue.Key
	survivors     []*replica
	made          int
}

var deaths = []death{
	{
		name:   "a survivor is busy in one queue while another one waits",
		mutant: "takes what it writes itself for its leader's life", survivors: 1,
		play: func(a *afterlife) {
			a.run(a.app)
			a.live(a.patience(), nil)
			a.run(a.api)
			a.live(a.patience(), func() { a.turnOver(a.app) })
		},
	},
	{
		name:   "two survivors are busy, each in a queue of its own, while another one waits",
		mutant: "takes for its leader's life what others write that act for it, too", survivors: 2,
		play: func(a *afterlife) {
			for i, key := range []queue.Key{a.app, a.web} {
				a.survivors[1-i].asleep = a.now.Add(a.patience() + time.Second)
				a.run(key)
				a.live(a.patience()+2*time.Second, nil)
			}
			a.run(a.api)
			a.live(a.patience(), func() { a.turnOver(a.app); a.turnOver(a.web) })
		},
	},
}

func newAfterlife(survivors int, m *mutant, trace func(string)) *afterlife {
	calm := mixture{weather: fair, queues: 3, writes: 2, together: true, held: true, network: []fate{arrives}}
	calm.lag = time.Hour
	c := emptyCluster(calm, rand.New(rand.NewPCG(1, 0)), Options{Trace: trace, mutant: m})
	c.calm = true
	a := &afterlife{Cluster: c, app: c.queues[0], web: c.queues[1], api: c.queues[2]}
	for _, key := range c.queues {
		c.createRepository(key, 1)
	}
	for i := range 1 + survivors {
		r := &replica{cluster: c, name: fmt.Sprintf("replica-%d", i)}
		c.replicas = append(c.replicas, r)
		r.start(0)
	}
	a.survivors = c.replicas[1:]
	for _, key := range c.queues {
		c.replicas[0].elect(key, true)
		a.run(key)
	}
	a.live(2*time.Second, nil)
	for _, key := range c.queues {
		c.finish(c.one(c.unfinished(key)))
	}
	a.live(2*time.Second, nil)
	c.replicas[0].crash()
	c.trace("the leader is dead")
	a.live(a.patience(), nil)
	return a
}

// patience is how long a queue may wait.
func (a *afterlife) patience() time.Duration { return a.timing.TakeoverAfter + 2*a.timing.Interval }

// live lets time pass, and everybody do what there is to do. Each time, something else happens.
func (a *afterlife) live(d time.Duration, happens func()) {
	for until := a.now.Add(d); a.now.Before(until); {
		if happens != nil {
			happens()
		}
		a.advance(a.timing.Interval / 2)
		a.catchUp()
	}
}

// run adds a run that may start.
func (a *afterlife) run(key queue.Key) {
	a.made++
	pr := newRun(key, fmt.Sprintf("%s-%d", key.Repository, a.made))
	pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	for _, edit := range []func(*tektonv1.PipelineRun){ready, state("queued"), annotate(pac.HeldOrder, key.Namespace+"/"+pr.Name)} {
		edit(pr)
	}
	a.server.create(runs, pr, nil)
	a.catchUp()
}

// turnOver ends what runs in a queue, and has another run follow.
func (a *afterlife) turnOver(key queue.Key) {
	if pr := a.one(a.unfinished(key)); pr != nil {
		a.finish(pr)
	}
	a.run(key)
}

// TestDeaths: whoever survives the leader leaves no queue alone, however busy it is in others.
func TestDeaths(t *testing.T) {
	for _, d := range deaths {
		for _, m := range []*mutant{mutantNamed(d.mutant), {}} {
			t.Run(d.name+"/"+m.name, func(t *testing.T) {
				var told []string
				a := newAfterlife(d.survivors, m, func(line string) { told = append(told, line) })
				defer a.stopAll()
				d.play(a)
				left, faithful := len(a.pending(a.api)) > 0, m.name == ""
				if left == faithful || faithful && a.problem != nil {
					t.Errorf("a queue is left alone: %t; the judge says: %v\n%s", left, a.problem, strings.Join(told, "\n"))
				}
			})
		}
	}
}
