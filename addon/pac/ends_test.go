package pac_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// TestOver: a run is over once the watch has shown it done, whatever it shows of it after that.
// That the watch drops it proves nothing: PAC marks runs that Tekton is still ending.
func TestOver(t *testing.T) {
	started := pipelineRun("build", specStatus(""), startedAt(noon))
	done := pipelineRun("build", specStatus(""), succeeded(corev1.ConditionTrue))
	for name, tc := range map[string]struct {
		happens func(cache.ResourceEventHandler)
		want    bool
	}{
		"it is started":                  {func(h cache.ResourceEventHandler) { h.OnAdd(started, false) }, false},
		"it is done":                     {func(h cache.ResourceEventHandler) { h.OnUpdate(started, done) }, true},
		"it was done when it was listed": {func(h cache.ResourceEventHandler) { h.OnAdd(done, true) }, true},
		"it is dropped while it runs":    {func(h cache.ResourceEventHandler) { h.OnDelete(started) }, false},
		"it is dropped when it is done":  {func(h cache.ResourceEventHandler) { h.OnDelete(done) }, true},
		"it was done when it was last seen": {func(h cache.ResourceEventHandler) {
			h.OnDelete(cache.DeletedFinalStateUnknown{Obj: done})
		}, true},
		"it ran when it was last seen": {func(h cache.ResourceEventHandler) {
			h.OnDelete(cache.DeletedFinalStateUnknown{Obj: started})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &follower{SharedIndexInformer: runInformer()}
			runs, err := pac.NewRuns(pac.By{Clock: clocktesting.NewFakePassiveClock(noon)}, nil, nil, f)
			if err != nil {
				t.Fatal(err)
			}
			tc.happens(f.deleted)
			if got := runs.Over(string(started.UID)); got != tc.want {
				t.Errorf("over %t, want %t", got, tc.want)
			}
		})
	}
}
