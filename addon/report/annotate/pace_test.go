package annotate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
)

// atNoon runs a test by the time of a bubble, in which waiting takes none. It is noon.
func atNoon(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(noon))
		f(t)
	})
}

// lookOf is a queue like that of look, whose runs have its name.
func lookOf(namespace, repository string, runs int) queue.Snapshot {
	s := look(runs)
	s.Key = queue.Key{Namespace: namespace, Repository: repository}
	for i := range s.Runs {
		r := s.Runs[i]
		r.Name = namespace + "-" + repository + "-" + r.Name
		r.UID, r.Order = r.Name, &queue.Order{Held: true, Sequence: queue.NewSequence([]string{r.Name})}
	}
	s.Slots[0].Holder = &queue.Holder{Name: s.Runs[0].Name, UID: s.Runs[0].UID}
	return s
}

// start has a run be started. Looks share runs, so it is a copy.
func start(runs []*queue.Run, i int) {
	started := *runs[i]
	started.Phase, started.Began = queue.Started, time.Now()
	runs[i] = &started
}

// moved is the queue after so many more starts, each when the run before it ended.
func moved(s queue.Snapshot, starts int) queue.Snapshot {
	s.Runs = slices.Clone(s.Runs[starts:])
	start(s.Runs, 0)
	s.Slots = []queue.Slot{{Version: "2", Holder: &queue.Holder{Name: s.Runs[0].Name, UID: s.Runs[0].UID}, HeldSince: time.Now()}}
	return s
}

// reasons are what the runs of a queue that still wait say.
func (b *board) reasons(s queue.Snapshot) []string {
	var all []string
	for _, r := range s.Runs[1:] {
		all = append(all, fmt.Sprintf("%s: %s, %s", r.Name, b.texts[r.Name][pac.Position], b.texts[r.Name][pac.Reason]))
	}
	return all
}

// However much there is to say, no more is written than the pace allows; and once things calm down,
// every run says what it should.
func TestTextsKeepThePace(t *testing.T) {
	atNoon(t, func(t *testing.T) {
		r := newRigBy(clock.RealClock{}, 20, 20)
		var queues []queue.Snapshot
		for i := range 30 {
			queues = append(queues, lookOf("shop", fmt.Sprintf("app-%02d", i), 40))
		}
		go r.annotator.Run(t.Context())
		before := 0
		for second := range 300 {
			if second < 60 && second%3 == 0 { // the queues move on while there is still much to say
				for i := range queues {
					if second > 0 {
						queues[i] = moved(queues[i], 1)
					}
					r.see(queues[i])
				}
			}
			synctest.Wait()
			n := r.written()
			if second > 1 && second < 60 && n-before != 20 || n > 20+20*second {
				t.Fatalf("%d writes after %d seconds, %d of them in the last", n, second, n-before)
			}
			before = n
			time.Sleep(time.Second)
		}
		calm := newRigBy(clock.RealClock{}, 20, 10_000)
		for _, s := range queues {
			calm.see(s)
		}
		calm.annotator.Round(t.Context())
		for _, s := range queues {
			if diff := cmp.Diff(calm.reasons(s), r.reasons(s)); diff != "" {
				t.Errorf("what runs say in the end (-want +got):\n%s", diff)
			}
		}
		if n := len(r.events); n < 30*20 {
			t.Errorf("%d events, want one for each run that still waits at least", n)
		}
	})
}

// TestRefusedInALongRound: what is refused late in a round that takes longer than the interval is
// tried again, though nothing changes any more.
func TestRefusedInALongRound(t *testing.T) {
	atNoon(t, func(t *testing.T) {
		r := newRigBy(clock.RealClock{}, 60, 2)
		s := lookOf("shop", "app", 60)
		late := s.Runs[50].Name
		r.refuse[late] = apierrors.NewForbidden(schema.GroupResource{}, late, errors.New("frozen"))
		r.see(s)
		go r.annotator.Run(t.Context())
		time.Sleep(time.Minute)
		r.mu.Lock()
		delete(r.refuse, late)
		before := r.texts[late]
		r.mu.Unlock()
		if before != nil || r.written() < 59 {
			t.Fatalf("after %d writes, the refused one says %v", r.written(), before)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if r.texts[late] == nil {
			t.Error("it is never told")
		}
	})
}

// T13: a queue of thousands, or a namespace of hundreds of queues, costs the others no more than
// its turns.
func TestQueuesTakeTurns(t *testing.T) {
	atNoon(t, func(t *testing.T) {
		r := newRigBy(clock.RealClock{}, 20, 20)
		r.see(lookOf("vast", "app", 5000))
		for i := range 200 {
			r.see(lookOf("many", fmt.Sprintf("app-%03d", i), 10))
		}
		go r.annotator.Run(t.Context())
		time.Sleep(5 * time.Second)
		r.see(lookOf("shop", "app", 10))
		r.see(lookOf("shop", "web", 10))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		told := map[string]int{}
		for name := range r.texts {
			namespace, _, _ := strings.Cut(name, "-")
			told[namespace]++
		}
		if told["shop"] != 18 {
			t.Errorf("after 5 seconds, %d of 18 runs of small queues are told: %v", told["shop"], told)
		}
		if d := told["vast"] - told["many"]; d < -10 || d > 10 {
			t.Errorf("told of each namespace: %v; want equal shares", told)
		}
	})
}

// Positions set to 0 stop a round before the next write, and set back have it go on.
func TestSwitchedOffUnderWay(t *testing.T) {
	atNoon(t, func(t *testing.T) {
		r := newRigBy(clock.RealClock{}, 20, 10)
		r.see(lookOf("shop", "app", 50))
		r.see(lookOf("shop", "web", 50))
		r.after = func(writes int) {
			if writes == 13 {
				r.positions = 0
			}
		}
		r.annotator.Round(t.Context())
		if r.writes != 13 {
			t.Fatalf("%d writes, though none was wanted after 13", r.writes)
		}
		r.annotator.Round(t.Context())
		r.positions = 20
		time.Sleep(10 * time.Second)
		r.annotator.Round(t.Context())
		if r.writes != 98 || len(r.texts) != 98 {
			t.Errorf("%d writes to %d runs, want each of 98 told once", r.writes, len(r.texts))
		}
	})
}

// What is written is decided once there is a token for it: what was claimed or started meanwhile is
// left alone, and the others say where they stand then.
func TestTextsAreOfTheMoment(t *testing.T) {
	for name, change := range map[string]func(queue.Snapshot) queue.Snapshot{
		"started": func(s queue.Snapshot) queue.Snapshot { return moved(s, 5) },
		"claimed": func(s queue.Snapshot) queue.Snapshot {
			s.Limit = 5
			s.Slots = slices.Clone(s.Slots)
			for i := 1; i < 5; i++ {
				s.Slots = append(s.Slots, queue.Slot{
					Index: i, Version: "1", Holder: &queue.Holder{Name: s.Runs[i].Name, UID: s.Runs[i].UID}, HeldSince: time.Now(),
				})
			}
			return s
		},
		"started, as far as only they say": func(s queue.Snapshot) queue.Snapshot {
			s.Runs = slices.Clone(s.Runs)
			for i := 1; i < 5; i++ {
				start(s.Runs, i)
			}
			return s
		},
		"gone": func(s queue.Snapshot) queue.Snapshot {
			s.Runs = slices.Concat(s.Runs[:1], s.Runs[5:])
			return s
		},
	} {
		for _, after := range []time.Duration{0, 1500 * time.Millisecond} { // as the plan is made; once there is another
			t.Run(fmt.Sprintf("%s after %s", name, after), func(t *testing.T) {
				atNoon(t, func(t *testing.T) {
					r := newRigBy(clock.RealClock{}, 20, 1)
					_ = r.pace.Take(t.Context()) // what was saved up
					s := lookOf("shop", "app", 10)
					r.see(s)
					if after == 0 {
						r.pace.Set(1000)
						r.after = func(writes int) {
							if writes == 1 { // within the second of the plan
								r.see(change(s))
								r.after = nil
							}
						}
					} else {
						time.AfterFunc(after, func() { r.see(change(s)) }) // the second token comes later
					}
					r.annotator.Round(t.Context())
					for _, run := range s.Runs[2:5] {
						if text := r.texts[run.Name]; text != nil {
							t.Errorf("%s, which waits no more, says %v", run.Name, text)
						}
					}
					for _, run := range s.Runs[6:] {
						if r.texts[run.Name] == nil {
							t.Errorf("%s is not told", run.Name)
						}
					}
					first := r.texts[s.Runs[6].Name][pac.Position]
					want := "2"
					if name == "started" {
						want = "1"
					}
					if after > 0 && first != want {
						t.Errorf("the sixth run says it is number %s, want %s as it is by now", first, want)
					}
				})
			})
		}
	}
}

// Events and annotations have one pace together, and each has its share of it.
func TestEventsAndAnnotationsShare(t *testing.T) {
	atNoon(t, func(t *testing.T) {
		r := newRigBy(clock.RealClock{}, 20, 20)
		events := new(counter)
		recorder := event.NewRecorder(event.Config{
			Cluster: events, Source: corev1.EventSource{Component: "test"}, Clock: clock.RealClock{}, Pace: r.pace,
			LeftOut: func(why event.Cause) { t.Errorf("an event is left out: %s", why) },
		})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go recorder.Run(ctx)
		go r.annotator.Run(ctx)
		r.see(lookOf("shop", "app", 1000))
		for i := range 1000 {
			name := fmt.Sprint("other-", i)
			recorder.Record(event.Queued(app, queue.Run{Name: name, UID: name}, "why"))
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		all := r.writes + int(*events)
		if all > 20+31*20 || r.writes < 280 || *events < 300 {
			t.Errorf("%d annotations and %d events in 31 seconds, want halves of %d at most", r.writes, *events, 20+31*20)
		}
	})
}

// counter counts events.
type counter int

func (c *counter) Create(e *corev1.Event) (*corev1.Event, error)          { *c++; return e, nil }
func (c *counter) Update(e *corev1.Event) (*corev1.Event, error)          { *c++; return e, nil }
func (c *counter) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) { *c++; return e, nil }
