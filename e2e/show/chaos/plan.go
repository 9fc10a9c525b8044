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

// Durations of the add-on in a chaos. They are shorter than the chart's where that
// makes no difference but that a fault can outlast them.
const (
	claimTTL         = 8 * time.Second
	takeoverAfter    = 3 * time.Second
	recoveryInterval = time.Second
	orderGrace       = 6 * time.Second
	backoffBase      = time.Second
	backoffMax       = 5 * time.Second
)

// What cannot be chosen, or is left as the chart has it.
const (
	requestTimeout = 15 * time.Second // of the add-on: addon/engine
	leaderTTL      = 15 * time.Second // leaderElection.leaseDuration
)

// way is how a fault is brought about.
type way int

const (
	kill      way = iota // SIGKILL, and a new start at the end
	terminate            // SIGTERM, likewise
	pause                // SIGSTOP, and SIGCONT at the end
	disturb              // toxics between a replica and the API server
)

// kind is a kind of fault.
type kind struct {
	name        string
	target      string // a component; empty for the replicas
	way         way
	least, most time.Duration // how long it lasts
	// toxics draws what disturbs the network, and words for it.
	toxics func(*rand.Rand) ([]toxics.ToxicWrapper, string)
}

// mostDelay is how late what a replica sees may be.
const mostDelay = 6 * time.Second

// What happens to one replica.
var replicaKinds = []kind{
	{name: "killed", way: kill, least: time.Second, most: 10 * time.Second},
	// Past claimTTL and takeoverAfter, and at times past leaderTTL.
	{name: "paused", way: pause, least: claimTTL + takeoverAfter + time.Second, most: leaderTTL + claimTTL},
	{name: "slow network", way: disturb, least: 5 * time.Second, most: 15 * time.Second, toxics: slow},
	{name: "stale view", way: disturb, least: 8 * time.Second, most: 15 * time.Second, toxics: stale},
	{name: "late requests", way: disturb, least: requestTimeout + 6*time.Second, most: requestTimeout + 12*time.Second, toxics: late},
	{name: "connections reset", way: disturb, least: 2 * time.Second, most: 8 * time.Second, toxics: resets},
	{name: "replies cut off", way: disturb, least: 5 * time.Second, most: 12 * time.Second, toxics: cutOff},
	{name: "replies lost", way: disturb, least: 5 * time.Second, most: 20 * time.Second, toxics: lost},
	{name: "partitioned", way: disturb, least: 5 * time.Second, most: 20 * time.Second, toxics: partition},
}

// What happens to all replicas at once.
var everybodyKinds = []kind{
	{name: "all killed", way: kill, least: time.Second, most: 5 * time.Second},
	{name: "all paused", way: pause, least: 2 * time.Second, most: claimTTL + takeoverAfter},
	{name: "all partitioned", way: disturb, least: 3 * time.Second, most: 8 * time.Second, toxics: partition},
}

const apiServer = "kube-apiserver"

// What happens to the control plane.
var controlPlaneKinds = []kind{
	{name: "API server killed", target: apiServer, way: kill, most: 3 * time.Second},
	{name: "API server stopped", target: apiServer, way: terminate, most: 3 * time.Second},
	{name: "etcd paused", target: "etcd", way: pause, least: 2 * time.Second, most: 8 * time.Second},
}

// What happens to the neighbours: they are not what is tested, but make runs come
// and go in odd ways.
var neighbourKinds = []kind{
	{name: "PAC watcher killed", target: "pac-watcher-0", way: kill, least: time.Second, most: 5 * time.Second},
	{name: "Tekton killed", target: "tekton-controller", way: kill, least: time.Second, most: 5 * time.Second},
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
	return []toxics.ToxicWrapper{delay(requests, by, 0)}, fmt.Sprintf("%s, their sender has given up by then", by)
}

func resets(*rand.Rand) ([]toxics.ToxicWrapper, string) {
	return []toxics.ToxicWrapper{reset(requests)}, ""
}

func cutOff(r *rand.Rand) ([]toxics.ToxicWrapper, string) {
	kilobytes := 4 + r.Int64N(60)
	return []toxics.ToxicWrapper{cut(replies, kilobytes<<10)}, fmt.Sprintf("every connection after %d KB", kilobytes)
}

func lost(*rand.Rand) ([]toxics.ToxicWrapper, string) {
	return []toxics.ToxicWrapper{drop(replies)}, "requests go through"
}

func partition(*rand.Rand) ([]toxics.ToxicWrapper, string) {
	return []toxics.ToxicWrapper{drop(requests), drop(replies)}, ""
}

// fault is one thing that goes wrong for a while.
type fault struct {
	kind
	targets []string      // names of processes
	at      time.Duration // since the beginning
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

// plan draws the faults of a chaos, in the order in which they begin. They last no
// longer than it; no two are on the same target at the same time.
func plan(seed uint64, length time.Duration, replicas int) []fault {
	random := rand.New(rand.NewPCG(seed, 0))
	var everybody []string
	for i := range replicas {
		everybody = append(everybody, replicaName(i))
	}
	var faults []fault
	if replicas > 0 {
		faults = lane{deck: &deck{random: random, kinds: everybodyKinds}, targets: everybody, least: 20 * time.Second, most: 60 * time.Second}.fill(length, nil)
	}
	all := slices.Clone(faults)
	deckOfReplicas := &deck{random: random, kinds: replicaKinds}
	for _, replica := range everybody {
		faults = append(faults, lane{deck: deckOfReplicas, targets: []string{replica}, least: 2 * time.Second, most: 15 * time.Second}.fill(length, all)...)
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

// replicaName is the name of a replica's process.
func replicaName(i int) string { return fmt.Sprintf("pac-lease-queue-%d", i) }

// lane is a series of faults, one after the other.
type lane struct {
	deck        *deck
	targets     []string      // unless the kind has its own
	least, most time.Duration // between two of them
}

// fill draws faults until no more has room, and leaves room for others.
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

// deck gives out kinds of faults, each about as often as the others.
type deck struct {
	random *rand.Rand
	kinds  []kind
	left   []kind
}

// draw gives out the first kind that has room from the given time on.
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
