package report_test

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Tekton says of a run that was cancelled while it waited that it began and ended.
func TestTypicalGoesByRunsThatRanTheirCourse(t *testing.T) {
	key := queue.Key{Namespace: "ci", Repository: "shop"}
	ran := queue.Run{UID: "ran", Phase: queue.Done, Began: noon, Ended: noon.Add(time.Minute)}
	cancelled := queue.Run{UID: "cancelled", Phase: queue.Done, Ending: true, Began: noon, Ended: noon}
	var recent report.Recent
	recent.Note(key, []*queue.Run{&ran, &cancelled, &cancelled})
	if typical, of := recent.Typical(key); typical != time.Minute || of != 1 {
		t.Errorf("typical is %s, of %d", typical, of)
	}
}
