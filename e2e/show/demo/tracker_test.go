package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// view is a queue with runs a, b, … in the given phases, and slots with the given holders.
func view(limit int, phases string, slots ...string) history.View {
	v := history.View{Limit: queue.Limit(limit), PipelineRuns: map[string]*tektonv1.PipelineRun{}}
	order := &queue.Order{Held: true, Sequence: queue.NewSequence([]string{"a"})}
	for i, p := range phases {
		name := string(rune('a' + i))
		run, pr := queue.Run{Name: name, UID: name, Order: order}, &tektonv1.PipelineRun{}
		switch p {
		case '?':
			run.Order = nil
		case 's':
			run.Phase = queue.Started
		case 'd':
			run.Phase = queue.Done
			pr.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: "True"}}
		case 'f':
			run.Phase = queue.Done
			pr.Status.Conditions = duckv1.Conditions{{Type: apis.ConditionSucceeded, Status: "False", Reason: "PipelineRunTimeout"}}
		case 'c':
			run.Phase = queue.Done
		}
		v.Runs = append(v.Runs, run)
		v.PipelineRuns[name] = pr
	}
	for i, holder := range slots {
		s := queue.Slot{Index: i}
		if holder != "" {
			s.Holder = &queue.Holder{Name: holder, UID: holder}
		}
		v.Slots = append(v.Slots, s)
	}
	return v
}

func TestTrackerWithLeases(t *testing.T) {
	tr := newTracker("queue", 4, true, at(0))
	tr.look(view(1, "?pp"), at(1))
	tr.look(view(1, "ppp", "a"), at(2))
	tr.look(view(1, "spp", "a"), at(3))
	got := tr.look(view(1, "dsc", "b"), at(6))
	want := []picture.Run{
		{
			Name: "a", Placed: true, State: queue.StateDone, Slot: queue.NoSlot, Since: at(6), Took: 3 * time.Second,
			Outcome: report.Succeeded,
		},
		{Name: "b", Placed: true, State: queue.StateStarted, Slot: 0, Since: at(6), Took: 5 * time.Second},
		{Name: "c", Placed: true, State: queue.StateDone, Slot: queue.NoSlot, Since: at(6), Outcome: "cancelled"},
	}
	if diff := cmp.Diff(want, got.Runs); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	if got.Expected != 4 || got.Limit != 1 {
		t.Errorf("expected %d with limit %d, want 4 with limit 1", got.Expected, got.Limit)
	}
}

func TestTrackerAddsUpWhatAClaimedRunWaited(t *testing.T) {
	tr := newTracker("queue", 1, true, at(0))
	tr.look(view(1, "p"), at(1))
	tr.look(view(1, "p", "a"), at(4))
	got := tr.look(view(1, "s", "a"), at(6)).Runs[0].Took
	if want := 5 * time.Second; got != want {
		t.Errorf("the run waited %s, want %s", got, want)
	}
}

func TestTrackerNumbersRunsWithoutLeases(t *testing.T) {
	tr := newTracker("queue", 4, false, at(0))
	var got [][]int
	for i, phases := range []string{"pppp", "sspp", "dspp", "dsss", "ffsp"} {
		var slots []int
		for _, r := range tr.look(view(2, phases), at(i)).Runs {
			slots = append(slots, r.Slot)
		}
		got = append(got, slots)
	}
	const no = queue.NoSlot
	want := [][]int{{no, no, no, no}, {0, 1, no, no}, {no, 1, no, no}, {no, 1, 0, 2}, {no, no, 0, no}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("slots (-want +got):\n%s", diff)
	}
}

func TestTrackerTellsProgress(t *testing.T) {
	tr := newTracker("queue", 2, true, at(0))
	for i, phases := range []string{"p", "pp", "pp", "sp", "sp", "dp", "dp"} {
		tr.look(view(1, phases), at(i))
		if want := at([]int{0, 1, 1, 3, 3, 5, 5}[i]); !tr.moved.Equal(want) {
			t.Errorf("look %d: last progress at %s, want %s", i, tr.moved, want)
		}
	}
}

// The cluster's timestamps tell of a run that starts and finishes between two views.
func TestTrackerMissesARun(t *testing.T) {
	tr := newTracker("queue", 1, true, at(0))
	v := view(1, "f")
	status := &v.PipelineRuns["a"].Status
	status.StartTime, status.CompletionTime = &metav1.Time{Time: at(1)}, &metav1.Time{Time: at(3)}
	want := picture.Run{
		Name: "a", Placed: true, State: queue.StateDone, Slot: queue.NoSlot,
		Since: at(4), Took: 2 * time.Second, Outcome: "pipelineruntimeout",
	}
	if diff := cmp.Diff(want, tr.look(v, at(4)).Runs[0]); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}
