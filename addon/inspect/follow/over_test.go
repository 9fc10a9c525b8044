package follow

import (
	"fmt"
	"sync"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"knative.dev/pkg/apis"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

var shop = queue.Key{Namespace: "ci", Repository: "shop"}

func ended(name string) inspect.Done {
	return inspect.Done{Run: queue.Run{Name: name, UID: "uid of " + name}, Outcome: report.Succeeded}
}

// TestOverIsBounded: the last runs of a queue are kept, each once, and those of the queues with the
// latest ends.
func TestOverIsBounded(t *testing.T) {
	o := newOver()
	for i := range 3 * remembers {
		for n := range 2 {
			if isNew := o.add(shop, ended(fmt.Sprint("run-", i))); isNew != (n == 0) {
				t.Fatalf("run %d is new: %t", i, isNew)
			}
		}
	}
	all := o.of(shop)
	if len(all) != remembers || all[0].Name != "run-40" || all[remembers-1].Name != "run-59" {
		t.Errorf("kept are %d, from %s to %s", len(all), all[0].Name, all[len(all)-1].Name)
	}
	if key, known := o.locate("ci", "run-59"); !known || key != shop {
		t.Errorf("the last one is in %v, %t", key, known)
	}
	for i := range mostQueues {
		o.add(queue.Key{Namespace: "ci", Repository: fmt.Sprint(i)}, ended(fmt.Sprint("other-", i)))
	}
	if n := len(o.of(shop)); n != 0 {
		t.Errorf("of a queue of long ago, %d are kept", n)
	}
}

// TestOverByManyWatches: several watches can show ends in one queue at the same time.
func TestOverByManyWatches(t *testing.T) {
	o := newOver()
	var watches sync.WaitGroup
	for w := range remembers {
		watches.Go(func() { o.add(shop, ended(fmt.Sprint("run-", w))) })
	}
	watches.Wait()
	if n := len(o.of(shop)); n != remembers {
		t.Errorf("%d of %d ends are kept", n, remembers)
	}
}

// lives notes what an observer is told of.
type lives struct{ began, ended []string }

func newLives() (*Follower, *lives) {
	is := &lives{}
	return &Follower{over: newOver(), Config: Config{Observer: Observer{
		Began: func(_ queue.Key, run queue.Run) { is.began = append(is.began, run.Name) },
		Ended: func(_ queue.Key, d inspect.Done) { is.ended = append(is.ended, d.Name+" "+string(d.Outcome)) },
	}}}, is
}

// version is a run of PAC's as the watches cache it.
func version(t *testing.T, edit func(*tektonv1.PipelineRun)) *pac.Cached {
	t.Helper()
	pr := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ci", Name: "build", UID: "1", CreationTimestamp: metav1.Unix(1000, 0),
		Labels:      map[string]string{"pipelinesascode.tekton.dev/repository": "shop", "pipelinesascode.tekton.dev/state": "queued"},
		Annotations: map[string]string{"pipelinesascode.tekton.dev/state": "queued", "pipelinesascode.tekton.dev/repository": "shop"},
	}}
	pr.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	edit(pr)
	is, err := pac.CacheRun(pr)
	if err != nil {
		t.Fatal(err)
	}
	return is.(*pac.Cached)
}

func waiting(*tektonv1.PipelineRun) {}

func begun(pr *tektonv1.PipelineRun) {
	pr.Spec.Status = ""
	pr.Status.StartTime = &metav1.Time{Time: time.Unix(1010, 0)}
	pr.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionUnknown, Reason: "Running"})
}

func succeeded(pr *tektonv1.PipelineRun) {
	begun(pr)
	pr.Status.CompletionTime = &metav1.Time{Time: time.Unix(1020, 0)}
	pr.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"})
}

// TestLives: whatever versions of a run the watches show, the observer is told once that it began
// and once how it ended.
func TestLives(t *testing.T) {
	waits, begins, succeeds := version(t, waiting), version(t, begun), version(t, succeeded)
	for name, tc := range map[string]struct {
		versions []any // one after the other; nil for none
		began    int
		ended    string
	}{
		"a whole life":                    {[]any{nil, waits, begins, succeeds, nil}, 1, "build succeeded"},
		"its end is seen twice":           {[]any{nil, begins, succeeds, succeeds}, 1, "build succeeded"},
		"it is there and running":         {[]any{nil, begins}, 1, ""},
		"it waits":                        {[]any{nil, waits, waits}, 0, ""},
		"deleted while it waits":          {[]any{nil, waits, nil}, 0, "build deleted"},
		"deleted while it runs":           {[]any{nil, begins, nil}, 1, "build deleted"},
		"gone while the watch was broken": {[]any{nil, begins, cache.DeletedFinalStateUnknown{Obj: begins}}, 1, "build deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			f, is := newLives()
			var was any
			for _, v := range tc.versions {
				if gone, missed := v.(cache.DeletedFinalStateUnknown); missed {
					f.lived(gone, nil)
					continue
				}
				f.lived(was, v)
				was = v
			}
			want := []string{tc.ended}
			if tc.ended == "" {
				want = nil
			}
			if len(is.began) != tc.began || fmt.Sprint(is.ended) != fmt.Sprint(want) {
				t.Errorf("began %v, ended %v; want %d and %v", is.began, is.ended, tc.began, want)
			}
		})
	}
}

// TestMarkUnread: a slot is unread if no watch shows its holder, or has shown its end.
func TestMarkUnread(t *testing.T) {
	holder := func(uid string) *queue.Holder { return &queue.Holder{UID: uid} }
	s := queue.Snapshot{
		Slots: []queue.Slot{{Holder: holder("runs")}, {Holder: holder("uid of over")}, {Holder: holder("unknown")}, {}},
		Runs:  []*queue.Run{{UID: "runs"}},
	}
	markUnread(s, []inspect.Done{ended("over")})
	for i, want := range []bool{false, false, true, false} {
		if got := s.Slots[i].Unread; got != want {
			t.Errorf("slot %d is unread: %t", i, got)
		}
	}
}
