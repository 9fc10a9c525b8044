package queue_test

import (
	"fmt"
	"math/rand"
	"slices"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// weather is how bad the cluster may get.
type weather struct {
	// Caches, pauses within a decision and requests under way are bounded by
	// these, together less than a claim TTL in fair weather.
	stale, patience, longest time.Duration
	// lag is how long an eligible run may be overtaken without blame.
	lag    time.Duration
	policy queue.Policy
	// vandals break and delete slots, which the protocol survives only if the
	// above is bounded.
	vandals bool
}

var (
	// storm has no bounds: safety does not rest on any clock.
	storm = weather{
		stale: time.Hour, patience: time.Hour, longest: time.Minute, lag: time.Hour,
		policy: queue.Policy{ClaimTTL: 3 * time.Second, OrderGrace: 20 * time.Second, ReadyGrace: 20 * time.Second, BackoffBase: time.Second, BackoffMax: 4 * time.Second},
	}
	fair = weather{
		stale: 4 * time.Second, patience: 4 * time.Second, longest: 8 * time.Second, lag: 20 * time.Second, vandals: true,
		policy: policy,
	}
)

// world is a queue with everything that happens to it.
type world struct {
	*cluster
	weather
	replicas []*replica
	pac      []func() // what PAC has still to patch
	born     int
	// traceable runs say what they were made of.
	traceable bool
	happens   []func() // one of these every second, some more often than others
}

const (
	steps    = 120
	mostRuns = 12
)

func newWorld(seed int64, w weather, m mutant) *world {
	rnd := rand.New(rand.NewSource(seed))
	c := newCluster(rnd, queue.Limit(1+rnd.Intn(3)), w.lag)
	x := &world{cluster: c, weather: w, traceable: seed%2 == 0}
	laziness := func() int { return []int{0, 0, 1, 4, 15}[rnd.Intn(5)] }
	for i := range 2 + rnd.Intn(3) {
		x.replicas = append(x.replicas, &replica{
			c: c, name: fmt.Sprintf("replica %d", i), mutant: m, unreliable: true,
			policy: w.policy, crowd: rnd.Intn(2) == 0, lazyRuns: laziness(), lazySlots: laziness(), stale: w.stale, patience: w.patience, longest: w.longest,
		})
	}
	// Every seed has its own mixture of what happens, so that things that are
	// rare in the long run come in rows somewhere.
	for _, e := range []func(){
		func() { x.push(1 + x.rnd.Intn(3)) }, x.keepPromise, x.finish, x.finish, x.cancel, x.delete, x.touchRun,
		x.touchSlot, x.complete, x.reject, x.crash, x.pause, x.vandalize, func() {},
	} {
		x.happens = append(x.happens, slices.Repeat([]func(){e}, []int{0, 1, 1, 2, 5}[rnd.Intn(5)])...)
	}
	x.happens = append(x.happens, x.keepPromise, func() { x.push(1) })
	c.network = slices.Concat(slices.Repeat([]fate{arrives}, 1+rnd.Intn(10)), slices.Repeat([]fate{stuck}, rnd.Intn(5)),
		slices.Repeat([]fate{lost}, rnd.Intn(3)), slices.Repeat([]fate{unanswered}, rnd.Intn(3)))
	// The add-on comes to a queue that runs already, perhaps above its limit.
	x.push(rnd.Intn(4))
	for range rnd.Intn(8) {
		x.keepPromise()
	}
	for range rnd.Intn(4) {
		x.on(x.one(x.inPhase(queue.Pending)), "is started by PAC", func(r *queue.Run) { r.Phase = queue.Started })
	}
	c.audit.SetLimit(c.limit, c.now)
	return x
}

// push is an event with some runs, whose order PAC patches one by one, later.
func (x *world) push(n int) {
	if x.born >= 2*mostRuns {
		return
	}
	var names []string
	for range n {
		x.born++
		names = append(names, fmt.Sprintf("run-%02d", (x.born*7)%100))
	}
	order, malformed := queue.NewSequence(names), x.rnd.Intn(12) == 0
	x.rnd.Shuffle(n, func(i, j int) { names[i], names[j] = names[j], names[i] })
	for i, name := range names {
		x.born++
		r := queue.Run{Name: name, UID: fmt.Sprintf("uid-%d", x.born), Created: x.now.Add(time.Duration(i) * time.Millisecond)}
		r.Origin = x.origin(i)
		if x.rnd.Intn(2) == 0 {
			r.Owed = "its secret"
			x.promise(r, func(r *queue.Run) { r.Owed = "" })
		}
		switch {
		case x.rnd.Intn(12) == 0: // PAC dies before it gets there
		case malformed:
			x.promise(r, func(r *queue.Run) { r.Order = &queue.Order{} })
		default:
			x.promise(r, func(r *queue.Run) { r.Order = &queue.Order{Sequence: order} })
		}
		x.putRun(r)
	}
	x.trace("%d runs are pushed: %v, in order %v", n, names, order.Names())
}

// origin is that of the i-th run of an event. In half of the worlds runs do not
// say where they come from, so that nothing supersedes anything.
func (x *world) origin(i int) queue.Origin {
	if !x.traceable {
		return queue.Origin{}
	}
	o := queue.Origin{Definition: fmt.Sprintf("def-%d", i), Trigger: queue.PushTrigger, Branch: []string{"main", "topic"}[x.rnd.Intn(2)]}
	if x.rnd.Intn(2) == 0 {
		o.CancelInProgress = queue.Yes
	}
	return o
}

func (x *world) promise(r queue.Run, edit func(*queue.Run)) {
	x.pac = append(x.pac, func() {
		if x.runs[r.Name].UID == r.UID {
			x.editRun(r.Name, edit)
			r := x.runs[r.Name]
			x.trace("PAC patches %s: ordered %v, malformed %v, owed %q", r.Name, r.Order != nil, r.Order.Malformed(), r.Owed)
		}
	})
}

func (x *world) keepPromise() {
	if len(x.pac) > 0 {
		i := x.rnd.Intn(len(x.pac))
		x.pac[i]()
		x.pac = slices.Delete(x.pac, i, i+1)
	}
}

// step is one second.
func (x *world) step() {
	x.now = x.now.Add(time.Second)
	x.deliver()
	for range 1 + x.rnd.Intn(3) {
		if r := x.replicas[x.rnd.Intn(len(x.replicas))]; !x.now.Before(r.asleep) {
			r.step()
		}
	}
	x.happens[x.rnd.Intn(len(x.happens))]()
}

func (x *world) finish() {
	x.on(x.one(x.inPhase(queue.Started)), "finishes", func(r *queue.Run) { r.Phase = queue.Done })
}

func (x *world) cancel() {
	if x.rnd.Intn(3) == 0 {
		x.on(x.one(x.inPhase(queue.Pending, queue.Started)), "is cancelled", func(r *queue.Run) { r.Phase = queue.Done })
	}
}

func (x *world) touchRun() { x.on(x.any(), "gets a new version", func(*queue.Run) {}) }

func (x *world) touchSlot() {
	if s, ok := x.oneSlot(); ok {
		x.trace("slot %d gets a new version", s.Index)
		x.putSlot(s)
	}
}

// delete sometimes makes room for another run of the same name.
func (x *world) delete() {
	name := x.any()
	if name == "" || x.rnd.Intn(3) > 0 {
		return
	}
	again := x.runs[name]
	x.trace("%s is deleted", name)
	x.deleteRun(name)
	if x.rnd.Intn(2) == 0 {
		x.born++
		again.UID, again.Phase, again.Created, again.Claim, again.Ending = fmt.Sprintf("uid-%d", x.born), queue.Pending, x.now, nil, false
		x.trace("and created again")
		x.putRun(again)
	}
}

// complete is PAC's label, which takes a run out of sight.
func (x *world) complete() {
	if done := x.one(x.inPhase(queue.Done)); done != "" {
		x.trace("%s is labelled completed", done)
		x.unselect(done)
	}
}

func (x *world) reject() {
	if name := x.one(x.inPhase(queue.Pending)); name != "" {
		x.rejected[name] = !x.rejected[name]
		x.trace("admission rejects %s: %v", name, x.rejected[name])
	}
}

// pause stops a replica, in the middle of a decision perhaps.
func (x *world) pause() {
	r := x.replicas[x.rnd.Intn(len(x.replicas))]
	r.asleep = x.now.Add(time.Duration(x.rnd.Int63n(int64(20 * time.Second))))
	x.trace("%s sleeps until %s", r.name, clock(r.asleep))
}

func (x *world) crash() {
	r := x.replicas[x.rnd.Intn(len(x.replicas))]
	x.trace("%s crashes", r.name)
	r.crash()
}

// vandalize breaks a slot or deletes it. The protocol does not survive the
// deletion of a slot whose claim is being made or carried out: nothing is left
// that a late start or a late creation could be refused by.
func (x *world) vandalize() {
	s, ok := x.oneSlot()
	if !ok || !x.vandals {
		return
	}
	if x.rnd.Intn(2) == 0 {
		x.trace("slot %d is damaged", s.Index)
		s.Holder, s.Damaged = nil, "by hand"
		x.putSlot(s)
		return
	}
	busy := len(x.inFlight) > 0 || slices.ContainsFunc(x.replicas, func(r *replica) bool { return len(r.todo) > 0 || r.listing != nil })
	if h := s.Holder; busy || s.Damaged != "" || (h != nil && x.runs[h.Name].UID == h.UID && x.runs[h.Name].Phase == queue.Pending) {
		return
	}
	x.trace("slot %d is deleted", s.Index)
	x.deleteSlot(s.Index)
}

func (x *world) on(name, what string, edit func(*queue.Run)) {
	if name != "" {
		x.trace("%s %s", name, what)
		x.editRun(name, edit)
	}
}

func (x *world) any() string { return x.one(x.inPhase(queue.Pending, queue.Started, queue.Done)) }

func (x *world) one(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[x.rnd.Intn(len(names))]
}

func (x *world) oneSlot() (queue.Slot, bool) {
	s, ok := x.slots[x.rnd.Intn(int(x.limit))]
	return s, ok
}
