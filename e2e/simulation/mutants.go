package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	shipped "github.com/pac-lease-queue/pac-lease-queue/addon/replica"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

// mutants are the deliberate bugs that the simulation has to find.
var mutants = []*mutant{
	{
		name: "frees the slot before it has fenced the run", caught: 268, weather: &storm, shape: rejections,
		wrapRuns: func(r *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, fence: func(ctx context.Context, key queue.Key, run queue.Run, fence func() error) error {
				r.freeSlotOf(ctx, s, key, run)
				return fence()
			}}
		},
	},
	{
		name: "frees the slot instead of fencing the run", caught: 5, weather: &storm, shape: rejections,
		wrapRuns: func(r *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, fence: func(ctx context.Context, key queue.Key, run queue.Run, _ func() error) error {
				r.freeSlotOf(ctx, s, key, run)
				return nil
			}}
		},
	},
	{
		name: "starts a run without its resourceVersion", caught: 9,
		patchBody: func(_ *replica, body []byte) []byte {
			var patch map[string]map[string]any
			if json.Unmarshal(body, &patch) == nil && patch["spec"] != nil {
				delete(patch["metadata"], "resourceVersion")
				body, _ = json.Marshal(patch)
			}
			return body
		},
	},
	{
		name: "does not compare the attempts of run and claim", caught: 3, weather: &storm, shape: rejections,
		// Half of the replicas: if all did, no fenced claim would ever be freed.
		wrapRuns: func(r *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(ctx context.Context, key queue.Key, runs []queue.Run) []queue.Run {
				slots, _ := s.List(ctx, key, queue.Cached)
				for i, run := range runs {
					for _, slot := range slots {
						if slot.Holder != nil && slot.Holder.UID == run.UID && r.odd() {
							runs[i].Attempt = slot.Holder.Attempt
						}
					}
				}
				return runs
			}}
		},
	},
	{
		name: "believes a cache that a slot does not exist", caught: 321, weather: &fair, shape: func(m *mixture) {
			m.happens["delete-lease"] = 40
			m.crowd, m.memory, m.switches, m.replicas, m.queues, m.deliver = true, false, false, max(2, m.replicas), 1, 1
		},
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, neverFresh: true}
		},
		wrapStore: func(_ *replica, x engine.Store) engine.Store { return neverFresh{x} },
	},
	{
		name: "believes a cache that a holder is gone", caught: 498, shape: func(m *mixture) {
			m.often("cancel", "label")
			m.memory, m.switches, m.queues = false, false, 1
			m.happens["push"], m.happens["tekton"] = 20, 6
		},
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, get: func(_ queue.Key, name string, get func() (queue.Run, bool, error)) (queue.Run, bool, error) {
				if r.informers[runs].raw["shop/"+name] == nil {
					return queue.Run{}, false, nil
				}
				return get()
			}}
		},
	},
	{
		name: "takes a holder that the watch drops for done", caught: 498, shape: func(m *mixture) {
			m.often("cancel", "label")
			m.memory, m.switches, m.queues = false, false, 1
			m.happens["push"], m.happens["tekton"] = 20, 6
		},
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, over: func(uid string, over bool) bool { return over || r.informers[runs].dropped[types.UID(uid)] }}
		},
	},
	{
		name: "goes by the label of a run instead of its queue", caught: 2, shape: func(m *mixture) { m.often("unlabel") },
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, key queue.Key, seen []queue.Run) []queue.Run {
				return slices.DeleteFunc(seen, func(run queue.Run) bool {
					raw := r.informers[runs].raw[key.Namespace+"/"+run.Name]
					return raw != nil && raw.GetLabels()[keys.Repository] == ""
				})
			}}
		},
	},
	{
		name: "takes a holder for gone if it cannot be read", caught: 967,
		shape: func(m *mixture) {
			m.often("cancel", "label")
			m.crowd, m.memory, m.switches, m.replicas, m.queues = true, false, false, max(2, m.replicas), 1
			m.happens["promise"], m.happens["push"], m.happens["tekton"], m.happens["vandal"] = 40, 30, 6, 0
			m.network = append(m.network, lost, lost, lost, unanswered)
		},
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, get: func(_ queue.Key, _ string, get func() (queue.Run, bool, error)) (queue.Run, bool, error) {
				run, exists, err := get()
				if err != nil {
					return queue.Run{}, false, nil
				}
				return run, exists, nil
			}}
		},
	},
	{
		name: "releases the slot on any error of a start", caught: 447, weather: &storm, shape: rejections,
		wrapRuns: func(r *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, start: func(ctx context.Context, key queue.Key, a queue.Start, start func() error) error {
				err := start()
				if err != nil {
					r.freeSlotOf(ctx, s, key, a.Run)
				}
				return err
			}}
		},
	},
	{
		name: "starts a run that is Kueue's to start", caught: 1, shape: besideKueue,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, seen []queue.Run) []queue.Run {
				for i := range seen {
					seen[i].Kueue.Admits = false
				}
				return seen
			}}
		},
	},
	{
		name: "has the claim of a run that waits for Kueue expire", caught: 1, shape: besideKueue,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, seen []queue.Run) []queue.Run {
				for i, run := range seen {
					if run.WaitsForKueue() {
						seen[i].Phase = queue.Pending
					}
				}
				return seen
			}}
		},
	},
	{
		name: "frees the slot of a run that waits for Kueue", caught: 1, shape: besideKueue,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, seen []queue.Run) []queue.Run {
				for i, run := range seen {
					if run.WaitsForKueue() {
						seen[i].Phase = queue.Done
					}
				}
				return seen
			}}
		},
	},
	{
		name: "counts runs by PAC's state annotation", caught: 2,
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, key queue.Key, seen []queue.Run) []queue.Run {
				for i, run := range seen {
					pr, ok := r.informers[runs].raw[key.Namespace+"/"+run.Name].(*tektonv1.PipelineRun)
					if !ok || run.Phase == queue.Pending {
						continue
					}
					switch pr.Annotations[keys.State] {
					case "started":
						seen[i].Phase = queue.Started
					case "completed", "failed":
						seen[i].Phase = queue.Done
					default:
						seen[i].Phase = queue.Pending
					}
				}
				return seen
			}}
		},
	},
	{
		name: "forgets started runs without a slot", caught: 2,
		wrapRuns: func(_ *replica, x engine.Runs, s engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(ctx context.Context, key queue.Key, runs []queue.Run) []queue.Run {
				slots, _ := s.List(ctx, key, queue.Cached)
				return slices.DeleteFunc(runs, func(run queue.Run) bool {
					return run.Phase == queue.Started && !slices.ContainsFunc(slots, func(s queue.Slot) bool {
						return s.Holder != nil && s.Holder.UID == run.UID
					})
				})
			}}
		},
	},
	{
		name: "recovers before its caches are filled", caught: 1593, beforeSync: true, weather: &hasty,
		shape: func(m *mixture) {
			m.happens["crash"], m.happens["push"], m.happens["promise"], m.happens["limit"] = 40, 20, 40, 0
			m.deliver, m.wait, m.longWaits, m.queues = 1, 1, false, 1
		},
	},
	{
		name: "claims a slot without its resourceVersion", caught: 254,
		beforePut: func(s *server, l *coordinationv1.Lease) {
			if is, ok := s.lease(l.Namespace, l.Name); ok {
				l.ResourceVersion, l.UID = is.ResourceVersion, is.UID
			}
		},
	},
	{
		name: "takes a claim without an answer for made", caught: 32,
		wrapStore: func(_ *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, claim: func(slot queue.Slot, h queue.Holder, claim claimer) (queue.Slot, error) {
				made, err := claim()
				if err != nil && !errors.Is(err, engine.ErrStale) && !errors.Is(err, engine.ErrBlocked) {
					slot.Holder, slot.Transition = &h, slot.Transition+1
					return slot, nil
				}
				return made, err
			}}
		},
	},
	{
		name: "tries only the slot in whose place something else is", caught: 1, shape: func(m *mixture) { m.often("squat") },
		wrapStore: func(_ *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, claim: func(_ queue.Slot, _ queue.Holder, claim claimer) (queue.Slot, error) {
				made, err := claim()
				if errors.Is(err, engine.ErrBlocked) {
					err = errors.New("the slot's place is taken")
				}
				return made, err
			}}
		},
	},
	{
		name: "goes on claiming after a claim failed", caught: 32,
		wrapStore: func(_ *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, claim: func(slot queue.Slot, h queue.Holder, claim claimer) (queue.Slot, error) {
				made, err := claim()
				if err != nil {
					slot.Holder, slot.Transition = &h, failedClaim
					return slot, nil
				}
				return made, nil
			}}
		},
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, start: func(_ context.Context, _ queue.Key, a queue.Start, start func() error) error {
				if a.Token.Transition == failedClaim {
					return errors.New("there is no claim to start with")
				}
				return start()
			}}
		},
	},
	{
		name: "makes a claim before the last one is answered", caught: 81, shape: overlaps,
		wrapStore: func(r *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, claim: func(slot queue.Slot, h queue.Holder, claim claimer) (queue.Slot, error) {
				r.cluster.running.pass.claimEarly(h, claim)
				slot.Holder, slot.Transition = &h, slot.Transition+1
				return slot, nil
			}}
		},
		wrapRuns: func(r *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, start: func(_ context.Context, _ queue.Key, a queue.Start, start func() error) error {
				s := r.cluster.running
				for _, c := range s.pass.early {
					if c.uid == a.Run.UID {
						s.await(func() bool { return c.answered })
						if c.err != nil {
							return errors.New("there is no claim to start with")
						}
					}
				}
				return start()
			}}
		},
	},
	{
		name: "starts a run before its claim is answered", caught: 218, shape: overlaps,
		wrapStore: func(r *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, claim: func(slot queue.Slot, h queue.Holder, claim claimer) (queue.Slot, error) {
				s := r.cluster.running
				for _, c := range s.pass.early {
					if s.await(func() bool { return c.answered }); c.err != nil {
						return queue.Slot{}, c.err
					}
				}
				s.pass.claimEarly(h, claim)
				slot.Holder, slot.Transition = &h, slot.Transition+1
				return slot, nil
			}}
		},
	},
	{
		name: "starts several runs at a time with slots in memory", caught: 21,
		shape: func(m *mixture) {
			overlaps(m)
			m.memory = true
		},
		wrapStore: func(_ *replica, x engine.Store) engine.Store { return lasting{x} },
	},
	{
		name: "keeps, of two slots of a started run, the one it was started with",
		wrapStore: func(r *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, seen: func(ctx context.Context, key queue.Key, slots []queue.Slot) {
				runs, _ := r.runs.List(ctx, key, queue.Cached)
				for i, slot := range slots {
					if h := slot.Holder; h != nil && slices.ContainsFunc(runs, func(run *queue.Run) bool {
						return run.UID == h.UID && run.Claim != nil && run.Claim.Slot == slot.Index
					}) {
						preferred := *h
						preferred.Attempt++
						slots[i].Holder = &preferred
					}
				}
			}}
		},
	},
	{
		name: "keeps, of two slots of a run, the lowest whatever their attempts",
		wrapStore: func(_ *replica, x engine.Store) engine.Store {
			return hookedStore{Store: x, seen: func(_ context.Context, _ queue.Key, slots []queue.Slot) {
				for i, slot := range slots {
					for _, lower := range slots[:i] {
						if slot.Holder != nil && lower.Holder != nil && lower.Holder.UID == slot.Holder.UID {
							slots[i].Holder = lower.Holder
						}
					}
				}
			}}
		},
	},
	{
		name: "cancels nothing that is superseded", caught: 3,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, runs []queue.Run) []queue.Run {
				for i := range runs {
					runs[i].Origin = queue.Origin{}
				}
				return runs
			}}
		},
	},
	{
		name: "gives the slot of a run away as soon as the run is cancelled", caught: 2,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, runs []queue.Run) []queue.Run {
				for i := range runs {
					if runs[i].Ending {
						runs[i].Phase = queue.Done
					}
				}
				return runs
			}}
		},
	},
	{
		name: "starts in the order of creation", caught: 1,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, runs []queue.Run) []queue.Run {
				for i := range runs {
					if o := runs[i].Order; o != nil {
						runs[i].Order = &queue.Order{Held: o.Held}
					}
				}
				return runs
			}}
		},
	},
	{
		name: "starts a run without the secret that it needs", caught: 6,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: func(_ context.Context, _ queue.Key, runs []queue.Run) []queue.Run {
				for i := range runs {
					runs[i].Needs = false
				}
				return runs
			}}
		},
	},
	{
		name: "orders the events of one second by a hash", caught: 1, weather: &fair, shape: ties,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: eachRun(func(run *queue.Run) { run.Seen, run.Unseen = queue.Arrival{}, false })}
		},
	},
	{
		name: "claims before it has written down which of two events came first", caught: 1, weather: &fair, shape: ties,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: eachRun(func(run *queue.Run) {
				if !run.Arrived.Known() {
					run.Arrived = run.Seen
				}
			})}
		},
	},
	{
		name: "stamps a run without its resourceVersion", caught: 40, shape: ties,
		patchBody: func(_ *replica, body []byte) []byte {
			var patch map[string]map[string]any
			if json.Unmarshal(body, &patch) == nil && strings.Contains(string(body), pac.Arrived) && patch["spec"] == nil {
				delete(patch["metadata"], "resourceVersion")
				body, _ = json.Marshal(patch)
			}
			return body
		},
	},
	{
		name: "takes the version in which it sees a run now for that of its creation", caught: 1, shape: ties,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: eachRun(func(run *queue.Run) {
				run.Seen.Version, _ = strconv.ParseUint(run.Version, 10, 64)
			})}
		},
	},
	{
		name: "takes what a list shows for just created", caught: 3, shape: ties,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: eachRun(func(run *queue.Run) { run.Seen.AtMost = false })}
		},
	},
	{
		name: "cancels for a run that came at some time at the latest", caught: 2, shape: ties,
		wrapRuns: func(_ *replica, x engine.Runs, _ engine.Store) engine.Runs {
			return hooked{Runs: x, seen: eachRun(func(run *queue.Run) { run.Arrived.AtMost = false })}
		},
	},
	{
		name: "does not act on a queue that it has taken over", caught: 3,
		wrapReplica: func(r *replica, x product) product { return leadersOnly{x, r} },
	},
	{
		name: "acts without leading on slots in memory", caught: 10,
		shape: func(m *mixture) { m.memory, m.switches, m.replicas = true, false, max(2, m.replicas) },
		wire: func(r *replica, c *shipped.Config) {
			leads := c.Leads
			c.Leads = func(key queue.Key) bool { return leads(key) || r.product.Settings().Backend == store.Memory }
		},
	},
	{
		name: "keeps the slots in memory of an earlier term", caught: 2788,
		shape: func(m *mixture) {
			m.happens["elect"], m.happens["push"], m.happens["promise"], m.happens["tekton"] = 30, 20, 30, 20
			m.memory, m.switches, m.replicas, m.queues, m.deliver = true, false, 2, 1, 6
			m.crowd, m.kueue, m.ties, m.release = false, false, false, config.ReleaseDone
		},
		wire: func(_ *replica, c *shipped.Config) { c.Forget = func(func(queue.Key) bool) {} },
	},
	{
		name: "does not look at its queues when it is promoted", caught: 10705,
		wrapReplica: func(r *replica, x product) product { return unpromoted{x, r} },
	},
	{
		name: "does not look again when time is up", caught: 646,
		shape: func(m *mixture) {
			m.switches, m.memory, m.replicas = true, false, max(2, m.replicas)
			m.happens["switch"] = 20
		},
		wrapReplica: func(_ *replica, x product) product { return untimed{x} },
	},
	{name: "believes a cache that has an older version than the list", caught: 533, anyVersion: true},
	{
		name: "gives a slot away while pods of its run are left", caught: 1, podless: true,
		shape: func(m *mixture) { m.release = config.ReleasePodsGone },
	},
	{name: "has no recovery", caught: 2, noRecovery: true},
	{
		name: "takes over a queue whose leader makes progress", caught: 1, shape: oneLeader,
		wrapReplica: func(r *replica, x product) product {
			return attributing{x, func(string, string) (string, bool) { return "", false }, r}
		},
	},
	{name: "takes over all queues of a leader before it has seen a write of its own", caught: 2, shape: oneLeader, takesAll: true},
	{
		name: "takes what it writes itself for its leader's life", shape: oneLeader,
		wrapReplica: func(r *replica, x product) product {
			return attributing{x, func(writer, leader string) (string, bool) {
				if writer == r.name {
					writer = leader
				}
				return writer, true
			}, r}
		},
	},
	{
		name: "takes for its leader's life what others write that act for it, too", shape: oneLeader,
		wrapReplica: func(r *replica, x product) product {
			return attributing{x, func(writer, leader string) (string, bool) {
				if writer != r.name {
					writer = leader
				}
				return writer, true
			}, r}
		},
	},
	{name: "does not hear in recovery that a queue has changed", caught: 3, unchanging: true},
	{
		name: "keeps slots in the memory of several replicas", caught: 190, manyLeaders: true,
		shape: func(m *mixture) { m.memory, m.switches, m.replicas = true, false, max(2, m.replicas) },
	},
}

func (r *replica) odd() bool { return slices.Index(r.cluster.replicas, r)%2 == 1 }

// hasty is fair weather in which recovery acts before slow caches are filled.
var hasty = func() weather {
	w := fair
	w.timing = recovery.Timing{Interval: 200 * time.Millisecond, TakeoverAfter: 500 * time.Millisecond}
	return w
}()

// rejections make claims expire, while several replicas are at them.
func rejections(m *mixture) {
	m.often("reject", "late")
	m.crowd, m.memory, m.switches, m.replicas, m.queues = true, false, false, max(2, m.replicas), 1
	m.network = append(m.network, stuck, stuck, stuck)
	m.happens["promise"], m.happens["push"] = 30, 20
}

// ties have events come in pairs, whose runs wait and supersede each other.
func ties(m *mixture) {
	m.ties, m.traceable, m.queues = true, true, 1
	m.happens["push"], m.happens["promise"] = max(m.happens["push"], 20), max(m.happens["promise"], 30)
}

// eachRun changes every run that is seen.
func eachRun(change func(*queue.Run)) func(context.Context, queue.Key, []queue.Run) []queue.Run {
	return func(_ context.Context, _ queue.Key, runs []queue.Run) []queue.Run {
		for i := range runs {
			change(&runs[i])
		}
		return runs
	}
}

// overlaps have much of a pass happen at a time.
func overlaps(m *mixture) {
	m.writes, m.memory, m.switches, m.queues = 8, false, false, 1
	m.happens["push"], m.happens["promise"], m.happens["tekton"] = max(m.happens["push"], 20), max(m.happens["promise"], 30), 20
}

// earlyClaim is a claim that is under way and that a mutant takes for made.
type earlyClaim struct {
	uid      string // of the run
	answered bool
	err      error
}

// claimEarly makes a claim while the pass goes on.
func (p *pass) claimEarly(h queue.Holder, claim claimer) {
	c := &earlyClaim{uid: h.UID}
	p.early = append(p.early, c)
	p.begin(func() {
		_, c.err = claim()
		c.answered = true
	})
}

// lasting is an engine.Store whose claims nobody else sees, and that says otherwise.
type lasting struct{ engine.Store }

func (lasting) Lasting() bool { return true }

// oneLeader has several queues, which one replica leads.
func oneLeader(m *mixture) {
	m.together, m.memory, m.switches, m.crowd, m.queues, m.replicas = true, false, false, false, 3, max(3, m.replicas)
	m.happens["switch"] = 0
}

// attributing is a replica that takes what is written for another replica's.
type attributing struct {
	product
	// to returns whose a write is taken for, and false if it is not noticed.
	to func(writer, leader string) (string, bool)
	r  *replica
}

func (a attributing) Progress(key queue.Key, writer string) {
	c := a.r.cluster
	if writer, noticed := a.to(writer, c.leaderOf(c.part(key))); noticed {
		a.product.Progress(key, writer)
	}
}

// failedClaim is the transition in the token of a claim that was not made.
const failedClaim = -1

// freeSlotOf empties the slot that names a run.
func (r *replica) freeSlotOf(ctx context.Context, s engine.Store, key queue.Key, run queue.Run) {
	repository := r.cluster.repository(key)
	if repository == nil {
		return
	}
	slots, _ := s.List(ctx, key, queue.Fresh)
	for _, slot := range slots {
		if slot.Holder != nil && slot.Holder.UID == run.UID {
			_ = s.Release(ctx, engine.Repository{Key: key, UID: string(repository.UID)}, slot)
		}
	}
}

// leadersOnly is a replica that works only on queues that it leads.
type leadersOnly struct {
	product
	r *replica
}

func (l leadersOnly) Work(ctx context.Context, key queue.Key) (shipped.Outcome, error) {
	if !l.r.leads[key] {
		return shipped.Outcome{}, nil
	}
	return l.product.Work(ctx, key)
}

// unpromoted is a replica that looks at no queue because it begins to lead it.
type unpromoted struct {
	product
	r *replica
}

func (u unpromoted) Promoted(leads func(queue.Key) bool) {
	dirty := maps.Clone(u.r.dirty)
	u.product.Promoted(leads)
	u.r.dirty = dirty
}

// untimed is a replica that forgets when to look again.
type untimed struct{ product }

func (u untimed) Work(ctx context.Context, key queue.Key) (shipped.Outcome, error) {
	outcome, err := u.product.Work(ctx, key)
	outcome.Again = 0
	return outcome, err
}

// besideKueue is for bugs about runs that are labelled for Kueue.
func besideKueue(m *mixture) { m.kueue = true }

// hooked is an engine.Runs of a mutant.
type hooked struct {
	engine.Runs
	neverFresh bool
	seen       func(context.Context, queue.Key, []queue.Run) []queue.Run
	get        func(key queue.Key, name string, get func() (queue.Run, bool, error)) (queue.Run, bool, error)
	over       func(uid string, over bool) bool
	start      func(ctx context.Context, key queue.Key, a queue.Start, start func() error) error
	fence      func(ctx context.Context, key queue.Key, run queue.Run, fence func() error) error
}

func (h hooked) List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]*queue.Run, error) {
	if h.neverFresh {
		freshness = queue.Cached
	}
	shared, err := h.Runs.List(ctx, key, freshness)
	if h.seen == nil || err != nil {
		return shared, err
	}
	runs := make([]queue.Run, len(shared))
	for i, run := range shared {
		runs[i] = *run
	}
	return queue.Shared(h.seen(ctx, key, runs)), nil
}

func (h hooked) Get(ctx context.Context, key queue.Key, name string) (queue.Run, bool, error) {
	get := func() (queue.Run, bool, error) { return h.Runs.Get(ctx, key, name) }
	if h.get == nil {
		return get()
	}
	return h.get(key, name, get)
}

func (h hooked) Over(uid string) (ended time.Time, over bool) {
	ended, over = h.Runs.Over(uid)
	if h.over != nil {
		over = h.over(uid, over)
	}
	return ended, over
}

func (h hooked) Start(ctx context.Context, key queue.Key, a queue.Start) error {
	start := func() error { return h.Runs.Start(ctx, key, a) }
	if h.start == nil {
		return start()
	}
	return h.start(ctx, key, a, start)
}

func (h hooked) Fence(ctx context.Context, key queue.Key, run queue.Run, attempt int, notBefore time.Time) error {
	fence := func() error { return h.Runs.Fence(ctx, key, run, attempt, notBefore) }
	if h.fence == nil {
		return fence()
	}
	return h.fence(ctx, key, run, fence)
}

type neverFresh struct{ engine.Store }

func (s neverFresh) List(ctx context.Context, key queue.Key, _ queue.Freshness) ([]queue.Slot, error) {
	return s.Store.List(ctx, key, queue.Cached)
}

// claimer makes the claim that a mutant has in its hands.
type claimer func() (queue.Slot, error)

// hookedStore is an engine.Store of a mutant.
type hookedStore struct {
	engine.Store
	seen  func(context.Context, queue.Key, []queue.Slot)
	claim func(queue.Slot, queue.Holder, claimer) (queue.Slot, error)
}

func (s hookedStore) List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]queue.Slot, error) {
	slots, err := s.Store.List(ctx, key, freshness)
	if s.seen != nil && err == nil {
		s.seen(ctx, key, slots)
	}
	return slots, err
}

func (s hookedStore) Claim(ctx context.Context, q engine.Repository, slot queue.Slot, h queue.Holder) (queue.Slot, error) {
	claim := func() (queue.Slot, error) { return s.Store.Claim(ctx, q, slot, h) }
	if s.claim == nil {
		return claim()
	}
	return s.claim(slot, h, claim)
}
