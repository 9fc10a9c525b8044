package pac_test

import (
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// TestOver: a run is over once it has been seen done, whatever is seen of it after that. That the
// watch drops it proves nothing: PAC marks runs that Tekton is still ending.
func TestOver(t *testing.T) {
	started, done := pipelineRun("build", specStatus(""), startedAt(noon)), ended("build", noon.Add(time.Minute))
	started.UID = done.UID
	for name, tc := range map[string]struct {
		seen []*tektonv1.PipelineRun
		want bool
	}{
		"never seen":                  {},
		"it is started":               {[]*tektonv1.PipelineRun{started}, false},
		"it is done":                  {[]*tektonv1.PipelineRun{started, done}, true},
		"a watch shows an older list": {[]*tektonv1.PipelineRun{done, started}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ends := pac.NewEnds()
			runs, err := pac.NewRuns(pac.By{Clock: clocktesting.NewFakePassiveClock(noon), Ends: ends}, nil, nil, pac.OfPAC(runInformer()))
			if err != nil {
				t.Fatal(err)
			}
			for _, pr := range tc.seen {
				ends.Note(pr)
			}
			ended, over := runs.Over(string(started.UID))
			if over != tc.want {
				t.Errorf("over %t, want %t", over, tc.want)
			}
			if over && !ended.Equal(noon.Add(time.Minute)) {
				t.Errorf("ended at %s, want the completion time", ended)
			}
		})
	}
}
