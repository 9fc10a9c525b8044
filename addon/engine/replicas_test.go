package engine_test

import (
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestTwoReplicas lets two replicas work on one queue without an election, each
// interleaving written out.
func TestTwoReplicas(t *testing.T) {
	t.Run("both claim the same slot", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"), slot(0, ""))
		one, two := c.replica(), c.replica()
		one.freeze()
		two.mustPass("claim 0 for a", "start a with 0/5/0")
		_, err := one.pass()
		wantStale(t, err)
		c.want("claim 0 for a: stale")
	})
	t.Run("both start the same claim", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"), slot(0, "a"))
		one, two := c.replica(), c.replica()
		one.freeze()
		two.mustPass("start a with 0/4/0")
		_, err := one.pass()
		wantStale(t, err)
		c.want("start a with 0/4/0: stale")
	})
	t.Run("one dies between claim and start, the other goes on", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"), slot(0, ""))
		c.intercepted["start a with 0/5/0"] = lost
		_, err := c.replica().pass()
		wantUnknown(t, err, "start a")
		c.happened()
		c.replica().mustPass("start a with 0/5/0")
	})
	t.Run("one starts what the other fences", func(t *testing.T) {
		c := newCluster(t, 1, pending("a", "b"), slot(0, "a"))
		one, two := c.replica(), c.replica()
		_, _, _ = one.Overdue(t.Context(), app) // has seen the claim
		one.wait(policy.ClaimTTL)
		c.intercepted["start a with 0/4/0"] = func(commit func() error) error {
			one.mustPass("start a with 0/4/0", "fence a at 1 until 12:00:25")
			return commit()
		}
		_, err := two.pass()
		wantStale(t, err)
		c.wantStarted()
		c.happened()
		two.mustPass("claim 0 for b", "start b with 0/5/0")
	})
	// Two slots name one run, and each replica gives one of them away: whatever
	// they see of the run meanwhile, it must be the same one.
	t.Run("both claim a slot for the same run", func(t *testing.T) {
		c := newCluster(t, 2, append(in(queue.Started, pending("x", "y")), pending("a", "c")...), slot(0, "x"), slot(1, "y"))
		one, two := c.replica(), c.replica()
		c.finish("y")
		two.freeze() // does not see that x is done as well
		c.finish("x")
		c.intercepted["start a with 0/5/0"] = lost
		c.intercepted["start a with 1/5/0"] = lost
		c.intercepted["claim 0 for a"] = func(commit func() error) error {
			err := commit()
			_, _ = two.pass()
			return err
		}
		_, err := one.pass()
		wantStale(t, err) // slot 1 is not y's any more
		c.wantSlots(map[int]string{0: "a", 1: "a"})

		// One sees a pending, and c as the next. While its start of a is being
		// lost, a is started by the other slot, b turns up, which comes before c,
		// and two takes a look.
		c.intercepted["start a with 0/5/0"] = func(func() error) error {
			c.change("a", func(r *queue.Run) { r.Phase, r.Claim = queue.Started, &queue.Token{Slot: 1, Transition: 5} })
			b := pending("b")[0]
			b.Created = noon.Add(-time.Minute)
			c.put(b)
			two.thaw()
			_, _ = two.pass()
			return errUnknown
		}
		_, _ = one.pass() // and the cluster watches the limit
		c.wantStarted("a", "b")
		c.wantSlots(map[int]string{0: "a", 1: "b"})
	})
}

// shuffled is a group whose functions run in any order, each at any time before Wait returns.
type shuffled struct {
	rnd   *rand.Rand
	begun []func()
}

func (s *shuffled) Go(f func()) {
	for s.begun = append(s.begun, f); len(s.begun) > 0 && s.rnd.Intn(2) == 0; {
		s.one()
	}
}

func (s *shuffled) Wait() {
	for len(s.begun) > 0 {
		s.one()
	}
}

func (s *shuffled) one() {
	i := s.rnd.Intn(len(s.begun))
	f := s.begun[i]
	s.begun = slices.Delete(s.begun, i, i+1)
	f()
}

var seeds = flag.Int("seeds", 500, "how many random histories TestReplicas goes through")

// TestReplicas lets three replicas with caches of any age loose on one queue,
// while requests and replies are lost or late and people meddle. The cluster
// watches the limit; in the end, with nothing wrong any more, every run that
// was not cancelled has been started and every slot is free.
func TestReplicas(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, rand.New(rand.NewSource(int64(seed)))) })
	}
}

func history(t *testing.T, rnd *rand.Rand) {
	chance := func(percent int) bool { return rnd.Intn(100) < percent }
	limit, trouble := 1+rnd.Intn(3), rnd.Intn(90)
	var all []queue.Run
	for i := range 3 + rnd.Intn(5) {
		all = append(all, pending(fmt.Sprintf("run-%d", i))[0])
		all[i].Created = noon.Add(time.Duration(rnd.Intn(5)-60) * time.Second)
	}
	c := newCluster(t, queue.Limit(limit), all[:2])
	c.group = func(int) engine.Group { return &shuffled{rnd: rnd} }
	toCome := all[2:]
	replicas := []*replica{c.replica(), c.replica(), c.replica()}
	someone := func() *replica { return replicas[rnd.Intn(len(replicas))] }

	depth := 0 // of passes within a request of another pass
	var late []func() error
	meddle := func() {
		r := someone()
		switch rnd.Intn(8) {
		case 0, 1:
			if depth < 3 {
				depth++
				_, _ = r.pass()
				depth--
			}
		case 2:
			r.freeze()
		case 3:
			r.thaw()
		case 4:
			if running := c.started(); len(running) > 0 {
				name := running[rnd.Intn(len(running))]
				if c.finished[name] = chance(50); !c.finished[name] || chance(50) {
					c.finish(name) // and if not, PAC only believes so
				}
			}
		case 5:
			if len(late) > 0 {
				_ = late[0]()
				late = late[1:]
			}
		case 6:
			if len(toCome) > 0 {
				c.put(toCome[0])
				toCome = toCome[1:]
			}
		case 7: // cancelled or deleted while it waits
			if r := c.runs[all[rnd.Intn(len(all))].Name]; r.Phase == queue.Pending && r.Name != "" && chance(20) {
				if c.finish(r.Name); chance(50) {
					delete(c.runs, r.Name)
				}
			}
		}
	}
	c.chaos = func(_ string, commit func() error) error {
		if chance(30) {
			meddle()
		}
		if chance(trouble) {
			switch rnd.Intn(3) {
			case 0:
				return committed(commit)
			case 1:
				late = append(late, commit)
			}
			return errUnknown
		}
		err := commit()
		if chance(20) {
			meddle()
		}
		return err
	}
	for range 60 {
		meddle()
		if chance(30) {
			someone().wait(policy.ClaimTTL / 2)
		}
		if name := all[rnd.Intn(len(all))].Name; chance(10) && c.runs[name].Name != "" {
			c.change(name, func(*queue.Run) {}) // a user annotates it
		}
		c.calls = nil
	}

	// All is well again.
	c.chaos = nil
	for _, commit := range late {
		_ = commit()
	}
	for _, r := range toCome {
		c.put(r)
	}
	cancelled := map[string]bool{}
	for name, r := range c.runs {
		cancelled[name] = r.Phase == queue.Done && r.Claim == nil
	}
	for range 2*len(all) + 5 {
		for _, r := range replicas {
			r.thaw()
			r.wait(policy.BackoffMax)
			_, _ = r.pass()
		}
		c.finish(c.started()...)
	}
	for _, r := range replicas {
		r.mustSettle()
	}
	for name, r := range c.runs {
		if r.Phase != queue.Done || (r.Claim == nil) != cancelled[name] {
			t.Errorf("%s is %s, started with %v", name, r.Phase, r.Claim)
		}
	}
	for i, s := range c.slots {
		if s.Holder != nil {
			t.Errorf("slot %d still names %s", i, s.Holder.Name)
		}
	}
}

// mustSettle wants a pass that finds nothing to do.
func (r *replica) mustSettle() {
	r.t.Helper()
	r.happened()
	_, err := r.pass()
	if err != nil {
		r.t.Error(err)
	}
	r.want()
}
