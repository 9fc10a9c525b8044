package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// full is a queue of limit 1: a runs, b and c wait.
func full() inspect.Queue {
	run := func(name string, phase queue.Phase) *queue.Run {
		return &queue.Run{Name: name, UID: name, Phase: phase, Created: noon.Add(-6 * time.Minute), Order: &queue.Order{}}
	}
	a := run("a", queue.Started)
	a.Began = noon.Add(-4 * time.Minute)
	q := inspect.Queue{Now: noon, Typical: 5 * time.Minute, Of: 4, Acquired: map[int]time.Time{0: noon.Add(-4 * time.Minute)}}
	q.Snapshot = queue.Snapshot{
		Key: queue.Key{Namespace: "ci", Repository: "shop"}, Limit: 1,
		Slots: []queue.Slot{{Index: 0, Holder: &queue.Holder{Name: "a", UID: "a"}}},
	}
	q.Standings = queue.Standings{Limit: 1, Waiting: 2, Runs: []queue.Standing{
		{Run: a, Slot: 0},
		{Run: run("b", queue.Pending), Why: queue.SlotsTaken, Position: 1, Slot: queue.NoSlot},
		{Run: run("c", queue.Pending), Why: queue.SlotsTaken, Position: 2, Slot: queue.NoSlot},
	}}
	q.Turns = map[string]time.Time{"b": noon.Add(time.Minute), "c": noon.Add(6 * time.Minute)}
	return q
}

func TestList(t *testing.T) {
	orphan := full()
	orphan.Missing, orphan.Snapshot.Key.Namespace = true, "lost"
	var out bytes.Buffer
	if err := printTable(&out, listTable([]inspect.Queue{full(), orphan}, true), true, false); err != nil {
		t.Fatal(err)
	}
	want := `NAMESPACE   REPOSITORY   LIMIT           QUEUED   CLAIMED   STARTED   OLDEST   STATE     NEXT   WHY
ci          shop         1               2        0         1         6m       Running   b      waiting for a slot: 1 of 1 in use by a (4m)
lost        shop         no Repository   2        0         1         6m       Running   b      waiting for a slot: 1 of 1 in use by a (4m)
`
	if diff := cmp.Diff(want, trimmed(out.String())); diff != "" {
		t.Error(diff)
	}
}

func TestDescribe(t *testing.T) {
	var out bytes.Buffer
	if err := describe(&out, full()); err != nil {
		t.Fatal(err)
	}
	want := `Repository:   ci/shop
Limit:        1
Queued:       2
Claimed:      0
Started:      1
Typical run:  5m (the last 4, by the median)

Slots:
  SLOT   RUN   STATE     FOR
  0      a     started   4m

Queue:
  POSITION   RUN   AGE   STARTS IN   WHY
  1          b     6m    about 60s   slots taken
  2          c     6m    about 6m    slots taken
`
	if diff := cmp.Diff(want, trimmed(out.String())); diff != "" {
		t.Error(diff)
	}
}

func TestDescribeRun(t *testing.T) {
	q := full()
	is, _ := q.Standing("c")
	var out bytes.Buffer
	if err := describeRun(&out, q, is, nil); err != nil {
		t.Fatal(err)
	}
	want := `Run:         ci/c
Repository:  shop (limit 1)
State:       queued, position 2 of 2
Why:         waiting for a slot: 1 of 1 in use by a (4m)
Created:     6m ago
Starts in:   about 6m: the last runs took 5m (the last 4, by the median)
Before it:   b

Events:  none
`
	if diff := cmp.Diff(want, trimmed(out.String())); diff != "" {
		t.Error(diff)
	}
}

func trimmed(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestQueueOf(t *testing.T) {
	pacs := map[string]string{"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev"}
	for name, c := range map[string]struct {
		labels, annotations map[string]string
		wrong               string
	}{
		"queued":        {pacs, map[string]string{keys.Repository: "shop"}, ""},
		"not PAC's":     {nil, map[string]string{keys.Repository: "shop"}, "is not one of Pipelines-as-Code"},
		"no Repository": {pacs, nil, "names no Repository"},
	} {
		_, err := queueOf(&tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
			Name: "r", Namespace: "ci", Labels: c.labels,
			Annotations: c.annotations,
		}})
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// People see the name by which they call it; shells complete the program's.
func TestCalled(t *testing.T) {
	for program, want := range map[string]struct{ arg, says string }{
		"/usr/bin/kubectl-pac_queue": {"--help", "  kubectl pac-queue [command]"},
		"kubectl-pac-queue":          {"--help", "  kubectl pac queue [command]"},
		"tkn-queue.exe":              {"completion", "tkn queue completion [command]"},
		"kubectl_complete-pac_queue": {"desc", "describe\tShow one queue"},
	} {
		c, is := Called([]string{program, want.arg})
		if !is {
			t.Errorf("%s is not the plugin", program)
			continue
		}
		var out bytes.Buffer
		c.SetOut(&out)
		c.SetErr(&out)
		if err := c.Execute(); err != nil || !strings.Contains(out.String(), want.says) {
			t.Errorf("%s %s: %v, %s", program, want.arg, err, &out)
		}
	}
	if _, is := Called([]string{"pac-lease-queue", "list"}); is {
		t.Error("the add-on itself is taken for the plugin")
	}
	c, _ := Called([]string{"kubectl-pac_queue", "completion", "bash"})
	var script bytes.Buffer
	c.SetOut(&script)
	if err := c.Execute(); err != nil || !strings.Contains(script.String(), "-F __start_kubectl-pac_queue kubectl-pac_queue\n") {
		t.Errorf("the script for bash does not complete kubectl-pac_queue: %v", err)
	}
}

func TestPicture(t *testing.T) {
	q := full()
	q.Done = []inspect.Done{{Run: queue.Run{Name: "z", Began: noon.Add(-time.Hour), Ended: noon.Add(-50 * time.Minute)}, Outcome: "failed"}}
	b := draw(q, noon.Add(-time.Minute))
	want := []picture.Run{
		{
			Name: "z", State: queue.StateDone, Placed: true, Slot: queue.NoSlot, Since: noon.Add(-50 * time.Minute),
			Took: 10 * time.Minute, Outcome: "failed",
		},
		{Name: "a", State: queue.StateStarted, Placed: true, Slot: 0, Since: noon.Add(-4 * time.Minute), Took: 2 * time.Minute},
		{Name: "b", State: queue.StateQueued, Placed: true, Slot: queue.NoSlot, Since: noon.Add(-6 * time.Minute)},
		{Name: "c", State: queue.StateQueued, Placed: true, Slot: queue.NoSlot, Since: noon.Add(-6 * time.Minute)},
	}
	if diff := cmp.Diff(want, b.Runs); diff != "" {
		t.Error(diff)
	}
}

// A run that PAC takes out of sight is looked for until it is over; an API server that
// is away for a moment is told of once.
func TestWatch(t *testing.T) {
	fake := testingclock.NewFakeClock(noon)
	gone := full()
	ended := inspect.Done{Run: *gone.Runs[0].Run}
	ended.Ended = noon.Add(time.Second)
	gone.Standings.Runs = gone.Runs[1:]
	down := errors.New("down")
	looks := []struct {
		q   inspect.Queue
		err error
	}{{full(), nil}, {full(), down}, {full(), down}, {gone, nil}, {gone, nil}}
	changes := make(chan struct{}, 1)
	changes <- struct{}{} // after the first look; the API server is away, and then the run's end is
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked := 0
	w := &watcher{
		clock: fake, every: time.Second, changed: changes,
		look: func(context.Context) (inspect.Queue, error) {
			next := looks[0]
			looks = looks[1:]
			return next.q, next.err
		},
		ended: func(_ context.Context, run queue.Run) (inspect.Done, bool, error) {
			if run.UID != ended.UID {
				t.Errorf("asked how %s ended", run.Name)
			}
			asked++
			return ended, asked == 2, nil
		},
	}
	var shown []int
	said := 0
	result := make(chan error, 1)
	over := make(chan bool)
	go func() {
		result <- w.run(ctx, func(q inspect.Queue) {
			shown = append(shown, len(q.Done))
			if len(looks) == 0 {
				stop()
			}
		}, func(error) { said++ })
		close(over)
	}()
	for {
		select {
		case <-over:
			if err := <-result; err != nil || said != 1 {
				t.Errorf("watch: %v, told %d times", err, said)
			}
			if diff := cmp.Diff([]int{0, 0, 1}, shown); diff != "" {
				t.Errorf("finished runs shown:\n%s", diff)
			}
			return
		case <-time.After(time.Millisecond):
			if fake.HasWaiters() {
				fake.Step(time.Second)
			}
		}
	}
}

// As long as nothing changes, time goes on in the picture, and the cluster is not asked.
func TestWatchAsksOnlyAfterChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		looks, changes := 0, make(chan struct{}, 1)
		w := &watcher{
			clock: clock.RealClock{}, every: time.Second, changed: changes,
			look: func(context.Context) (inspect.Queue, error) {
				looks++
				q := full()
				q.Now = time.Now()
				return q, nil
			},
		}
		var last time.Time
		go func() { _ = w.run(ctx, func(q inspect.Queue) { last = q.Now }, func(err error) { t.Error(err) }) }()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if looks != 1 || time.Since(last) > time.Second {
			t.Errorf("%d looks in ten seconds, the last picture is %s old", looks, time.Since(last))
		}
		changes <- struct{}{}
		time.Sleep(time.Second)
		synctest.Wait()
		if looks != 2 {
			t.Errorf("%d looks after a change, want 2", looks)
		}
		stop()
		synctest.Wait()
	})
}

func TestWatchFailsAtFirst(t *testing.T) {
	down := errors.New("down")
	w := &watcher{
		clock: testingclock.NewFakeClock(noon), every: time.Second,
		look: func(context.Context) (inspect.Queue, error) { return inspect.Queue{}, down },
	}
	if err := w.run(t.Context(), nil, nil); !errors.Is(err, down) {
		t.Errorf("watch: %v", err)
	}
}
