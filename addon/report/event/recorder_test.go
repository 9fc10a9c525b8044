package event_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
)

// of is a run of its own.
func of(i int) queue.Run {
	return queue.Run{Name: "run-" + strconv.Itoa(i), UID: "uid-" + strconv.Itoa(i)}
}

func in(namespace string) queue.Key { return queue.Key{Namespace: namespace, Repository: "app"} }

// told are the reasons of what was written, with namespaces.
func (c *cluster) told() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, w := range c.all {
		all = append(all, w.On.Namespace+" "+w.Reason)
	}
	return all
}

// However many events there are, no more are written than the pace allows; nothing waits for them,
// and in the end all are written.
func TestEventsKeepThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		r, leftOut := recorderAt(c, 20)
		go r.Run(t.Context())
		const many = 1000
		before := time.Now()
		for i := range many {
			r.Record(event.Queued(app, of(i), "why"))
		}
		if time.Since(before) > 0 {
			t.Error("recording waits")
		}
		for second := range 60 {
			synctest.Wait()
			if got, want := len(c.told()), min(20+20*second, many); got != want {
				t.Fatalf("%d events after %d seconds, want %d", got, second, want)
			}
			time.Sleep(time.Second)
		}
		if len(leftOut) > 0 {
			t.Errorf("left out: %v", leftOut)
		}
	})
}

// An event says when it happened, not when it was written.
func TestEventsKeepTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		var times []time.Time
		c.answer = func(e *corev1.Event) error { times = append(times, e.FirstTimestamp.Time); return nil }
		r, _ := recorderAt(c, 1)
		want := time.Now()
		for i := range 5 {
			r.Record(event.Queued(app, of(i), "why"))
		}
		r.Flush(t.Context())
		if len(times) != 5 || !times[4].Equal(want) || time.Since(want) != 4*time.Second {
			t.Errorf("times %v after %s, want 5 times %v after 4s", times, time.Since(want), want)
		}
	})
}

// Of the usual course, the last event that waits is written. All others are, whatever follows them.
func TestSequel(t *testing.T) {
	queued, acquired := event.Queued(app, run, "why"), event.SlotAcquired(app, run, 0)
	started := event.Started(app, queue.Start{Run: run}, time.Second)
	kueue := run
	kueue.Kueue.Admits = true
	for name, tc := range map[string]struct {
		events []event.Event
		want   []string
	}{
		"the usual course": {[]event.Event{queued, acquired, started}, []string{"Started"}},
		"not started yet":  {[]event.Event{queued, acquired}, []string{"SlotAcquired"}},
		"started at once":  {[]event.Event{queued, started}, []string{"Started"}},
		"passed to Kueue":  {[]event.Event{queued, acquired, event.Passed(app, queue.Start{Run: kueue})}, []string{"PassedToKueue"}},
		"backwards":        {[]event.Event{started, acquired, queued}, []string{"Started", "SlotAcquired", "Queued"}},
		"of other runs":    {[]event.Event{queued, event.Started(app, queue.Start{Run: of(2)}, 0)}, []string{"Queued", "Started"}},
		"of other namespaces": {
			[]event.Event{queued, event.Started(in("bank"), queue.Start{Run: run}, 0)}, []string{"Queued", "Started"},
		},
		"no order": {
			[]event.Event{acquired, event.NotWaitedFor(app, run, queue.NoOrder), started},
			[]string{"OrderTimedOut", "Started"},
		},
		"not ready": {
			[]event.Event{acquired, event.NotWaitedFor(app, run, queue.NotReady), started},
			[]string{"NotWaitedFor", "Started"},
		},
		"a slot in vain": {
			[]event.Event{acquired, event.ClaimExpired(app, queue.Expire{Run: run}, ""), event.SlotAcquired(app, run, 1), started},
			[]string{"ClaimExpired", "SlotAcquired", "Started"},
		},
		"the end": {
			[]event.Event{
				queued, event.Superseded(app, queue.Cancel{Run: run}), event.HandedBack(app, run),
				event.Adopted(app, queue.Claim{Run: run}),
			},
			[]string{"Queued", "Superseded", "HandedBack", "Adopted"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{}
			r, leftOut := newRecorder(c)
			for _, e := range tc.events {
				r.Record(e)
			}
			r.Flush(t.Context())
			var got []string
			for _, w := range c.all {
				got = append(got, w.Reason)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			if n := leftOut[event.CauseSequel]; n != len(tc.events)-len(tc.want) || n > 0 && len(leftOut) > 1 {
				t.Errorf("left out: %v", leftOut)
			}
		})
	}
}

// What was written before its sequel came stays.
func TestSequelAfterTheFact(t *testing.T) {
	c := &cluster{}
	r, _ := newRecorder(c)
	for _, e := range []event.Event{
		event.Queued(app, run, "why"), event.SlotAcquired(app, run, 0), event.Started(app, queue.Start{Run: run}, 0),
	} {
		r.Record(e)
		r.Flush(t.Context())
	}
	if diff := cmp.Diff([]string{"shop Queued", "shop SlotAcquired", "shop Started"}, c.told()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

// T13: a namespace that makes more events than can be written, Warnings even, loses its own only,
// Warnings last, and has the others wait for no more than its turns.
func TestNoisyNamespacePaysForItself(t *testing.T) {
	const fits = 8192
	for name, tc := range map[string]struct {
		noise func(int) event.Event
		quiet []event.Event
	}{
		"Warnings against Normal events": {
			func(i int) event.Event { return event.BadAnnotation(in("noisy"), of(i), "odd") },
			[]event.Event{event.Queued(in("quiet"), of(1), "why"), event.Queued(in("quiet"), of(2), "why")},
		},
		"Normal events against Warnings": {
			func(i int) event.Event { return event.Queued(in("noisy"), of(i), "why") },
			[]event.Event{event.BadAnnotation(in("quiet"), of(1), "odd"), event.BadAnnotation(in("quiet"), of(2), "odd")},
		},
		"Warnings against Warnings": {
			func(i int) event.Event { return event.BadAnnotation(in("noisy"), of(i), "odd") },
			[]event.Event{event.BadAnnotation(in("quiet"), of(1), "odd"), event.BadAnnotation(in("quiet"), of(2), "odd")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cluster{}
			r, leftOut := newRecorder(c)
			r.Record(tc.noise(2 * fits)) // it is the noisy one's turn first
			r.Record(tc.quiet[0])
			for i := range 2 * fits {
				r.Record(tc.noise(i))
			}
			r.Record(tc.quiet[1]) // into a full outbox
			r.Flush(t.Context())
			if n := len(c.all); n != fits || leftOut[event.CauseFull] != fits+3 {
				t.Errorf("%d events are written and %v left out, of %d", n, leftOut, 2*fits+3)
			}
			var at []int
			for i, w := range c.all {
				if w.On.Namespace == "quiet" {
					at = append(at, i)
				}
			}
			if len(at) != 2 || at[1] > 4 {
				t.Errorf("the quiet namespace's events are written as numbers %v of %d, want both among the first", at, len(c.all))
			}
			if last := c.all[len(c.all)-1].On.Name; last != of(2*fits-1).Name {
				t.Errorf("the last one written is of %s, want the newest", last)
			}
		})
	}
}

// Within a namespace, what a person should look at is lost last, and written first.
func TestWarningsOutlastNormalEvents(t *testing.T) {
	c := &cluster{}
	r, leftOut := newRecorder(c)
	for i := range 10_000 {
		r.Record(event.Queued(app, of(i), "why"))
		if i%1000 == 0 {
			r.Record(event.BadAnnotation(app, of(i), "odd"))
		}
	}
	r.Flush(t.Context())
	if got := c.told(); len(got) != 8192 || slices.Index(got, "shop Queued") != 10 {
		t.Errorf("%d written, the first Normal event after %d Warnings, want 8192 and 10; left out: %v", len(got),
			slices.Index(got, "shop Queued"), leftOut)
	}
}

// However many Warnings of one reason a namespace has, it soon hears of another one; and of too
// many it loses those of the most frequent reason.
func TestReasonsTakeTurns(t *testing.T) {
	c := &cluster{}
	r, leftOut := recorderAt(c, 20_000)
	for i := range 9000 {
		r.Record(event.QueueMissing(app, of(i)))
	}
	for i := range 3 {
		r.Record(event.BadAnnotation(app, of(i), "too long"))
	}
	r.Flush(t.Context())
	told := c.told()
	first := slices.DeleteFunc(slices.Clone(told[:6]), func(is string) bool { return is != "shop BadAnnotation" })
	if want := map[event.Cause]int{event.CauseFull: 811}; len(first) != 3 || len(told) != 8192 || !maps.Equal(leftOut, want) {
		t.Errorf("%d of 3 are among the first 6 of %d, left out: %v", len(first), len(told), leftOut)
	}
}

// What there was no room for may be told again: what is wrong with a run is said at every look.
func TestWhatWasLeftOutIsToldAgain(t *testing.T) {
	c := &cluster{}
	r, _ := newRecorder(c)
	first := event.BadAnnotation(app, of(0), "odd")
	r.Record(first)
	for range 8192 { // one that the memory has room for
		r.Record(event.Event{Kind: event.ConfigMap, Key: app, Name: "c", Warning: true, Reason: first.Reason})
	}
	r.Flush(t.Context())
	if slices.ContainsFunc(c.all, func(w written) bool { return w.On.Name == first.Name }) {
		t.Fatal("nothing was left out")
	}
	r.Record(first)
	r.Flush(t.Context())
	if last := c.all[len(c.all)-1]; last.On.Name != first.Name {
		t.Error("what was never told is not told any more")
	}
}

// TestErrors: what the API server refuses is given up, and the next one is written. While it cannot
// be reached or is busy, an event waits for it; a lost reply leads to no second event.
func TestErrors(t *testing.T) {
	events := schema.GroupResource{Resource: "events"}
	for name, tc := range map[string]struct {
		answers []error // to the first requests
		want    string
		after   time.Duration
		leftOut map[event.Cause]int
	}{
		"refused": {
			[]error{apierrors.NewForbidden(events, "x", errors.New("no"))}, "uid-1", 0, map[event.Cause]int{event.CauseFailed: 1},
		},
		"broken": {
			[]error{apierrors.NewInternalError(errors.New("etcd"))}, "uid-1", 0, map[event.Cause]int{event.CauseFailed: 1},
		},
		"busy": {[]error{apierrors.NewTooManyRequests("busy", 1)}, "uid-0 uid-1", 10 * time.Second, map[event.Cause]int{}},
		"no way": {
			slices.Repeat([]error{io.ErrUnexpectedEOF}, 12), "uid-1", 110 * time.Second, map[event.Cause]int{event.CauseFailed: 1},
		},
		"in time": {slices.Repeat([]error{io.ErrUnexpectedEOF}, 11), "uid-0 uid-1", 110 * time.Second, map[event.Cause]int{}},
		"a lost reply": {
			[]error{io.ErrUnexpectedEOF, apierrors.NewAlreadyExists(events, "x")}, "uid-1", 10 * time.Second, map[event.Cause]int{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cluster{}
				names := map[string]bool{}
				requests := 0
				c.answer = func(e *corev1.Event) error {
					if requests++; requests <= len(tc.answers) {
						names[e.Name] = true
						return tc.answers[requests-1]
					}
					return nil
				}
				r, leftOut := newRecorder(c)
				before := time.Now()
				r.Record(event.Queued(app, of(0), "why"))
				r.Record(event.Queued(app, of(1), "why"))
				r.Flush(t.Context())
				var got []string
				for _, w := range c.all {
					got = append(got, string(w.On.UID))
				}
				if is := strings.Join(got, " "); is != tc.want || time.Since(before) != tc.after || len(names) != 1 {
					t.Errorf("written %s after %s, by the names %v; want %s after %s, by one name", is, time.Since(before), names,
						tc.want, tc.after)
				}
				if diff := cmp.Diff(tc.leftOut, leftOut); diff != "" {
					t.Errorf("left out (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Events that are alike are counted on one; one that has expired is made anew.
func TestEventsAlike(t *testing.T) {
	c := &cluster{}
	var counts []int32
	gone := true
	c.answer = func(e *corev1.Event) error {
		counts = append(counts, e.Count)
		if e.Count == 3 && gone {
			gone = false
			return apierrors.NewNotFound(schema.GroupResource{Resource: "events"}, e.Name)
		}
		return nil
	}
	r, leftOut := newRecorder(c)
	for range 30 {
		r.Record(event.Event{Kind: event.ConfigMap, Key: in("tools"), Name: "c", Reason: event.ReasonBackendChanged})
		r.Flush(t.Context())
	}
	if want := []int32{1, 2, 3, 3, 4}; len(counts) < 5 || !slices.Equal(counts[:5], want) {
		t.Errorf("counts %v, want %v at first", counts, want)
	}
	if n := leftOut[event.CauseFrequent]; n != 5 {
		t.Errorf("%d of 30 events of one object are left out, want all but 25: %v", n, fmt.Sprint(leftOut))
	}
}
