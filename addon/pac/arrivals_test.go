package pac_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// follower is an informer as Arrivals see it.
type follower struct {
	cache.SharedIndexInformer
	version string
	deleted cache.ResourceEventHandler
}

func (f *follower) LastSyncResourceVersion() string { return f.version }

func (f *follower) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	f.deleted = h
	return nil, nil
}

// at is a run of that name in a version.
func at(name, version string, changes ...change) *tektonv1.PipelineRun {
	pr := pipelineRun(name, changes...)
	pr.UID, pr.ResourceVersion = types.UID("uid-"+name), version
	return pr
}

// TestArrivals: a watch shows when a run was created, a list no more than when it had been.
func TestArrivals(t *testing.T) {
	yes := true
	listed, watched := metav1.ListOptions{}, metav1.ListOptions{AllowWatchBookmarks: true}
	both := metav1.ListOptions{AllowWatchBookmarks: true, SendInitialEvents: &yes}
	of := func(version uint64) queue.Arrival { return queue.Arrival{Version: version} }
	bound := func(version uint64) queue.Arrival { return queue.Arrival{Version: version, AtMost: true} }
	for name, tc := range map[string]struct {
		history func(*follower, *pac.Arrivals)
		want    map[string]queue.Arrival // those that are not here are not seen yet
	}{
		"a list, then a watch": {func(f *follower, a *pac.Arrivals) {
			a.NoteRequest(listed)
			a.Note(at("a", "5"))
			a.Note(at("b", "3"))
			f.version = "6"
			a.NoteRequest(watched)
			a.Note(at("c", "7"))
		}, map[string]queue.Arrival{"a": bound(5), "b": bound(3), "c": of(7)}},
		"a watch that begins with a list": {func(f *follower, a *pac.Arrivals) {
			a.NoteRequest(both)
			a.Note(at("a", "5"))
			f.version = "6"
			a.Note(at("b", "7"))
		}, map[string]queue.Arrival{"a": bound(5), "b": of(7)}},
		"the first version counts": {func(_ *follower, a *pac.Arrivals) {
			a.NoteRequest(watched)
			a.Note(at("a", "5"))
			a.Note(at("a", "6"))
		}, map[string]queue.Arrival{"a": of(5)}},
		"a list in between": {func(f *follower, a *pac.Arrivals) {
			a.NoteRequest(watched)
			a.Note(at("a", "5"))
			f.version = "5"
			a.NoteRequest(both)
			a.Note(at("a", "6"))
			a.Note(at("b", "7"))
			f.version = "8"
			a.Note(at("c", "9"))
		}, map[string]queue.Arrival{"a": of(5), "b": bound(7), "c": of(9)}},
		"one that comes back into sight": {func(_ *follower, a *pac.Arrivals) {
			a.NoteRequest(watched)
			a.Note(at("a", "5", specStatus("")))
		}, map[string]queue.Arrival{"a": bound(5)}},
		"one that goes": {func(f *follower, a *pac.Arrivals) {
			a.NoteRequest(watched)
			a.Note(at("a", "5"))
			f.deleted.OnDelete(cachedRun(at("a", "5")))
			a.Note(at("b", "6"))
			f.deleted.OnDelete(cache.DeletedFinalStateUnknown{Obj: cachedRun(at("b", "6"))})
			a.Note(cache.DeletedFinalStateUnknown{Obj: at("c", "7")})
		}, nil},
		"a server that does not count": {func(_ *follower, a *pac.Arrivals) {
			a.NoteRequest(watched)
			a.Note(at("a", "opaque"))
		}, map[string]queue.Arrival{"a": {}}},
	} {
		t.Run(name, func(t *testing.T) {
			f, arrivals := &follower{}, pac.NewArrivals()
			if err := arrivals.Follow(f); err != nil {
				t.Fatal(err)
			}
			tc.history(f, arrivals)
			list := tektonv1.PipelineRunList{TypeMeta: metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "PipelineRunList"}}
			for _, name := range []string{"a", "b", "c"} {
				list.Items = append(list.Items, *at(name, "20"))
			}
			by := pac.By{Arrivals: []*pac.Arrivals{arrivals}, Clock: clocktesting.NewFakePassiveClock(noon)}
			runs, _, cached := newRunsOf(t, by, answer(http.StatusOK, list))
			for i := range list.Items {
				add(t, cached, &list.Items[i])
			}
			for _, freshness := range []queue.Freshness{queue.Cached, queue.Fresh} {
				got, err := runs.List(context.Background(), shopApp, freshness)
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]queue.Arrival{}
				for _, r := range got {
					if !r.Unseen {
						seen[r.Name] = r.Seen
					}
				}
				if tc.want == nil {
					tc.want = map[string]queue.Arrival{}
				}
				if diff := cmp.Diff(tc.want, seen); diff != "" {
					t.Errorf("seen, of a %s list (-want +got):\n%s", freshness, diff)
				}
			}
		})
	}
}
