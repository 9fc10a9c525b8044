package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

func all(ms ...int) []time.Duration {
	var durations []time.Duration
	for _, n := range ms {
		durations = append(durations, time.Duration(n)*time.Millisecond)
	}
	return durations
}

// calm is a siege of one phase in which all budgets are kept.
func calm() report {
	idle := &measured{
		phase: phase{attack: attack{name: "none"}, guarded: true},
		first: all(40, 50, 60), next: all(9, 10, 11), floor: floors{first: all(8), next: all(5)},
	}
	under := &measured{
		phase: phase{attack: attack{name: "orders"}, guarded: true}, memory: 80 << 20, rest: 0.1,
		first: all(100, 150, 900), next: all(20, 30, 40), floor: floors{first: all(8), next: all(5)},
	}
	return report{Limit: 256 << 20, Idle: idle, Phases: []*measured{under}}
}

// What a busy machine does to the floor is seen even if no step of it was due in a phase.
func TestFloorDuring(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	steps := []sample{
		{at(0), at(10), ms(5)}, {at(20), at(30), ms(7)}, {at(40), at(90), ms(5)}, {at(100), at(500), ms(400)}, {at(950), at(960), ms(5)},
	}
	for _, tc := range []struct {
		from, to int
		want     string
	}{
		{0, 40, "[5ms 7ms]"}, {40, 100, "[5ms]"}, {100, 200, "[800ms]"}, {600, 900, "[800ms]"}, {900, 901, "[]"}, {955, 956, "[15ms]"},
	} {
		if got := fmt.Sprint(during(steps, at(tc.from), at(tc.to))); got != tc.want {
			t.Errorf("from %d to %d: %s, want %s", tc.from, tc.to, got, tc.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*report)
		want  string // part of the only line; empty for none
	}{
		"within the budgets":  {func(*report) {}, ""},
		"a limit was broken":  {func(r *report) { r.Violations = []string{"honest-0/shop: I1"} }, "honest-0/shop: I1"},
		"a replica restarted": {func(r *report) { r.Restarts = []string{"pac-lease-queue-0 restarted"} }, "pac-lease-queue-0 restarted"},
		"a replica needed too much": {
			func(r *report) { r.Phases[0].memory, r.Uncontained = 257<<20, errors.New("no control groups") },
			"orders: a replica had 257 MiB, its container has 256 MiB",
		},
		"the kernel lets a replica be": {func(r *report) { r.Phases[0].memory = 257 << 20 }, ""},
		"new queues wait": {
			func(r *report) { r.Phases[0].first = all(100, 151, 900) },
			"orders: the first start of an honest queue takes 3.0 times as long as on the idle stack, 3.0 times is the most",
		},
		"others wait": {
			func(r *report) { r.Phases[0].next, r.Phases[0].guarded = all(31), false },
			"orders without the guard: an honest start takes 3.1 times as long as on the idle stack, 3.0 times is the most",
		},
		"one waits in a sudden attack": {
			func(r *report) { r.Phases[0].sudden, r.Phases[0].next = true, all(20, 20, 1100) },
			"orders: an honest start takes 1.1s at the worst, 1.0s is the most",
		},
		"one waits in another attack": {func(r *report) { r.Phases[0].next = all(20, 20, 1100) }, ""},
		"one waits in a sudden attack, and the floor as well": {
			func(r *report) {
				r.Phases[0].sudden, r.Phases[0].next, r.Phases[0].floor.next = true, all(20, 20, 1100), all(5, 5, 400)
			}, "",
		},
		"the whole machine is slow": {
			func(r *report) { r.Phases[0].next, r.Phases[0].floor.next = all(59), all(10) }, "",
		},
		"and the add-on is slower": {
			func(r *report) { r.Phases[0].next, r.Phases[0].floor.next = all(61), all(10) },
			"orders: an honest start takes 6.1 times as long as on the idle stack, 6.0 times is the most",
		},
		"lists are slow": {
			func(r *report) { r.Phases[0].first, r.Phases[0].floor.first = all(299), all(16) }, "",
		},
		"and first starts are slower": {
			func(r *report) { r.Phases[0].first, r.Phases[0].floor.first = all(301), all(16) },
			"orders: the first start of an honest queue takes 6.0 times as long as on the idle stack, 6.0 times is the most",
		},
		"slow writes excuse no slow lists": {
			func(r *report) { r.Phases[0].first, r.Phases[0].floor.next = all(151), all(16) },
			"orders: the first start of an honest queue takes 3.0 times as long as on the idle stack, 3.0 times is the most",
		},
		"a replica does not rest": {
			func(r *report) { r.Phases[0].rest = 0.4 },
			"orders: a replica used 0.40 of a core more than on the idle stack while the tenants rested, 0.35 is the most",
		},
		"resting queues are decided again and again": {
			func(r *report) { r.Phases[0].decisions = 160 },
			"orders: a replica made 160 decisions a second more than on the idle stack while the tenants rested, 150 is the most",
		},
		"a tenant is not told": {
			func(r *report) { r.Phases[0].warns, r.Phases[0].guarded = "more than", false },
			`orders without the guard: no Warning tells a tenant "more than"`,
		},
		"the guard refuses it": {func(r *report) { r.Phases[0].warns = "more than" }, ""},
		"a tenant is told": {
			func(r *report) { r.Phases[0].warns, r.Phases[0].warned, r.Phases[0].guarded = "more than", true, false }, "",
		},
		"a decision costs too much": {
			func(r *report) { r.Phases[0].deciding = 0.5 },
			"orders: decisions occupied 0.50 of a core more than on the idle stack, 0.4 is the most",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := calm()
			tc.spoil(&r)
			got := r.broken()
			if tc.want == "" && len(got) > 0 || tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)) {
				t.Errorf("broken: %q, want %q", got, tc.want)
			}
			if broken := strings.Contains(r.text(), "BROKEN"); broken != (tc.want != "") {
				t.Errorf("the report says:\n%s", r.text())
			}
		})
	}
}

func TestBusyMachineIsNamed(t *testing.T) {
	r := calm()
	if text := r.text(); strings.Contains(text, "say little") {
		t.Errorf("the machine was not busy:\n%s", text)
	}
	r.Phases[0].floor.next, r.Phases[0].guarded = all(26), false
	if text := r.text(); !strings.Contains(text, "say little of the add-on: orders without the guard.") {
		t.Errorf("the machine was busy:\n%s", text)
	}
}

// A run counts in the queue in which it was first seen, from its start until Tekton says that it is
// over, whatever its labels say meanwhile.
func TestLimitsOfTenants(t *testing.T) {
	key := queue.Key{Namespace: "hostile-0", Repository: "shop"}
	run := func(name string, status tektonv1.PipelineRunSpecStatus) *tektonv1.PipelineRun {
		pr := fixture.Run(key, name, name)
		pr.Namespace, pr.UID, pr.Spec.Status = key.Namespace, types.UID(name), status
		return pr
	}
	ended := func(pr *tektonv1.PipelineRun) *tektonv1.PipelineRun {
		pr.Status.Status = duckv1.Status{Conditions: duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue}}}
		return pr
	}
	const waits, runs = tektonv1.PipelineRunSpecStatusPending, ""
	for name, tc := range map[string]struct {
		history func(*limits)
		want    []string
	}{
		"one after the other": {func(l *limits) {
			l.observe(run("a", runs), false)
			l.observe(ended(run("a", runs)), false)
			l.observe(run("b", runs), false)
			l.observe(run("b", runs), true)
			l.observe(run("c", runs), false)
		}, nil},
		"two at once": {func(l *limits) {
			l.observe(run("a", waits), false)
			l.observe(run("b", runs), false)
			l.observe(run("a", runs), false)
			l.observe(run("a", runs), false)
		}, []string{"hostile-0/shop: a makes 2 started runs, the limit is 1"}},
		"one that names another queue by now": {func(l *limits) {
			moved := run("a", runs)
			moved.Annotations = nil
			l.observe(run("a", waits), false)
			l.observe(moved, false)
			l.observe(run("b", runs), false)
		}, []string{"hostile-0/shop: b makes 2 started runs, the limit is 1"}},
		"one that is being deleted still runs": {func(l *limits) {
			deleted := run("a", runs)
			deleted.DeletionTimestamp = new(metav1.Now())
			l.observe(deleted, false)
			l.observe(run("b", runs), false)
		}, []string{"hostile-0/shop: b makes 2 started runs, the limit is 1"}},
		"a limit that is not judged any more": {func(l *limits) {
			l.forget()
			l.observe(run("a", runs), false)
			l.observe(run("b", runs), false)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLimits()
			l.promise(key, 1)
			tc.history(l)
			if fmt.Sprint(l.broken) != fmt.Sprint(tc.want) {
				t.Errorf("broken: %q, want %q", l.broken, tc.want)
			}
		})
	}
}
