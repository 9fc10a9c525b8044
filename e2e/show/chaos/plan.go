package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"
)

// The add-on's settings in a chaos. Shorter durations than the chart's make no difference, except
// that a fault can outlast them.
const (
	claimTTL         = 8 * time.Second
	takeoverAfter    = time.Second
	recoveryInterval = 200 * time.Millisecond
	orderGrace       = 6 * time.Second
	backoffBase      = time.Second
	backoffMax       = 5 * time.Second
)

// Durations that are fixed, or left at the chart's default.
const (
	requestTimeout = 15 * time.Second // of the add-on: addon/engine
	leaderTTL      = 15 * time.Second // leaderElection.leaseDuration
)

// means is how a fault is inflicted.
type means int

const (
	kill      means = iota // SIGKILL, and a new start at the end
	terminate              // SIGTERM, likewise
	pause                  // SIGSTOP, and SIGCONT at the end
	disturb                // toxics between a replica and the API server
)

// kind is a kind of fault.
type kind struct {
	name        string
	target      string // a component; empty for the replicas
	means       means
	least, most time.Duration // its length
	// toxics draws what disturbs the network, with a description.
	toxics func(*rand.Rand) ([]toxics.ToxicWrapper, string)
}

// mostDelay is how late responses and watch events may reach a replica.
const mostDelay = 6 * time.Second

// Faults of one replica.
var replicaKinds = []kind{
	{name: "killed", means: kill, least: time.Second, most: 10 * time.Second},
	// Past claimTTL and takeoverAfter, and at times past leaderTTL.
	{name: "paused", means: pause, least: claimTTL + takeoverAfter + time.Second, most: leaderTTL + claimTTL},
	{name: "slow network", means: disturb, least: 5 * time.Second, most: 15 * time.Second, toxics: slow},
	{name: "stale view", means: disturb, least: 8 * time.Second, most: 15 * time.Second, toxics: stale},
	{name: "late requests", means: disturb, least: requestTimeout + 6*time.Second, most: requestTimeout + 12*time.Second, toxics: late},
	{name: "connections reset", means: disturb, least: 2 * time.Second, most: 8 * time.Second, toxics: resets},
	{name: "replies cut off", means: disturb, least: 5 * time.Second, most: 12 * time.Second, toxics: cutOff},
	{name: "replies lost", means: disturb, least: 5 * time.Second, most: 20 * time.Second, toxics: lost},
	{name: "partitioned", means: disturb, least: 5 * time.Second, most: 20 * time.Second, toxics: partition},
}

// Faults of all replicas at once.
var allReplicasKinds = []kind{
	{name: "all killed", means: kill, least: time.Second, most: 5 * time.Second},
	{name: "all paused", means: pause, least: 2 * time.Second, most: claimTTL + takeoverAfter},
	{name: "all partitioned", means: disturb, least: 3 * time.Second, most: 8 * time.Second, toxics: partition},
}

const apiServer = "kube-apiserver"

// Faults of the control plane.
var controlPlaneKinds = []kind{
	{name: "API server killed", target: apiServer, means: kill, most: 3 * time.Second},
	{name: "API server stopped", target: apiServer, means: terminate, most: 3 * time.Second},
	{name: "etcd paused", target: "etcd", means: pause, least: 2 * time.Second, most: 8 * time.Second},
}

// Faults of the neighbours, which are not under test, but make runs come and go in odd ways.
var neighbourKinds = []kind{
	{name: "PAC watcher killed", target: "pac-watcher-0", means: kill, least: time.Second, most: 5 * time.Second},
	{name: "Tekton killed", target: "tekton-controller", means: kill, least: time.Second, most: 5 * time.Second},
}

func slow(r *rand.Rand) ([]toxics.ToxicWrapper, string) {
	by := between(r, 50*time.Millisecond, time.Second)
	return []toxics.ToxicWrapper{delay(requests, by, by/2), delay(replies, by, by/2)}, fmt.Sprintf("%s ± %s each way", by, by/2)
}

func stale(r *rand.Rand) ([]toxics.ToxicWrapper, string) {
	by := between(r, 2*time.Second, mostDelay)
	return []toxics.ToxicWrapper{delay(replies, by, 0)}, fmt.Sprintf("replies and watch events arrive %s late", by)
}

func late(r *rand.Rand) ([]toxics.ToxicWrapper, string) {
	by := between(r, requestTimeout+time.Second, requestTimeout+4*time.Second)
	return []toxics.ToxicWrapper{delay(requests, by, 0)}, fmt.Sprintf("%s late: their sender has given up by then", by)
}

func resets(*rand.Rand) ([]toxics.ToxicWrapper, string) {
	return []toxics.ToxicWrapper{reset(requests)}, ""
}

func cutOff(r *rand.Rand) ([]toxics.ToxicWrapper, string) {
	kilobytes := 4 + r.Int64N(60)
	return []toxics.ToxicWrapper{cut(replies, kilobytes<<10)}, fmt.Sprintf("every connection after %d KB", kilobytes)
}

func lost(*rand.Rand) ([]toxics.ToxicWrapper, string) {
	return []toxics.ToxicWrapper{drop(replies)}, "requests get through"
}

func partition(*rand.Rand) ([]toxics.ToxicWrapper, string) {
	return []toxics.ToxicWrapper{drop(requests), drop(replies)}, ""
}

// fault is one thing that goes wrong for a while.
type fault struct {
	kind
	targets []string      // names of processes
	at      time.Duration // since the start of the faults
	length  time.Duration
	harms   []toxics.ToxicWrapper
	detail  string
}

func (f fault) end() time.Duration { return f.at + f.length }

func (f fault) String() string {
	s := f.name
	if f.target == "" {
		s = strings.Join(f.targets, ", ") + ": " + s
	}
	if f.detail != "" {
		s += ", " + f.detail
	}
	return s
}

// plan draws the faults of a chaos, in the order in which they begin. All of them end within its
// length, and no two hit the same target at the same time.
func plan(seed uint64, length time.Duration, replicas int) []fault {
	random := rand.New(rand.NewPCG(seed, 0))
	var all []string
	for i := range replicas {
		all = append(all, replicaName(i))
	}
	var faults []fault
	if replicas > 0 {
		l := lane{deck: &deck{random: random, kinds: allReplicasKinds}, targets: all, least: 20 * time.Second, most: 60 * time.Second}
		faults = l.fill(length, nil)
	}
	ofAll := slices.Clone(faults)
	ofOne := &deck{random: random, kinds: replicaKinds}
	for _, replica := range all {
		l := lane{deck: ofOne, targets: []string{replica}, least: 2 * time.Second, most: 15 * time.Second}
		faults = append(faults, l.fill(length, ofAll)...)
	}
	for _, l := range []lane{
		{deck: &deck{random: random, kinds: controlPlaneKinds}, least: 10 * time.Second, most: 50 * time.Second},
		{deck: &deck{random: random, kinds: neighbourKinds}, least: 15 * time.Second, most: 60 * time.Second},
	} {
		faults = append(faults, l.fill(length, nil)...)
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	return faults
}

// replicaName returns the name of a replica's process.
func replicaName(i int) string { return fmt.Sprintf("pac-lease-queue-%d", i) }

// lane draws a series of faults, one after the other.
type lane struct {
	deck        *deck
	targets     []string      // for kinds without a target of their own
	least, most time.Duration // pause between two faults
}

// fill draws faults until no further one fits, around others that hit the same targets.
func (l lane) fill(length time.Duration, others []fault) []fault {
	var faults []fault
	for at := between(l.deck.random, 0, l.most); ; {
		f, ok := l.deck.draw(at, length, others)
		if !ok {
			return faults
		}
		if f.target != "" {
			f.targets = []string{f.target}
		} else {
			f.targets = l.targets
		}
		faults = append(faults, f)
		at = f.end() + between(l.deck.random, l.least, l.most)
	}
}

// deck deals kinds of faults, each about as often as the others.
type deck struct {
	random *rand.Rand
	kinds  []kind
	left   []kind
}

// draw deals the first kind that fits in from the given time on.
func (d *deck) draw(from, length time.Duration, others []fault) (fault, bool) {
	for range 2 {
		for i, k := range d.left {
			f := fault{kind: k, at: from, length: between(d.random, k.least, k.most)}
			for _, other := range others {
				if f.at < other.end() && other.at < f.end() {
					f.at = other.end()
				}
			}
			if f.end() > length {
				continue
			}
			if k.toxics != nil {
				f.harms, f.detail = k.toxics(d.random)
			}
			d.left = slices.Delete(d.left, i, i+1)
			return f, true
		}
		again := slices.Clone(d.kinds)
		d.random.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		d.left = append(d.left, again...)
	}
	return fault{}, false
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(r.Int64N(int64(most-least)))).Round(10 * time.Millisecond)
}
