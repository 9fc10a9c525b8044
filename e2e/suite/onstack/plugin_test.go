package onstack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/debug"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// With fifty runs in the queue, the plugin shows what is in the cluster and what the add-on wrote
// on the runs.
func TestPluginShowsTheTruth(t *testing.T) {
	const runs, limit = 50, 2
	s := newScene(t, limit, 2)
	s.Tolerated = suite.OthersWarnings // Tekton warns about the runs that the test cancels
	s.push(4, time.Second)             // for estimates
	s.done(4)
	s.push(runs, 10*time.Minute)
	s.queued(4 + runs)
	settled := s.wait("two started runs and the others ready to start", suite.QueuedDeadline, func(v history.View) bool {
		unready := func(r queue.Run) bool { return r.Owed != "" }
		return len(v.In(queue.Started)) == limit && !slices.ContainsFunc(v.In(queue.Pending), unready)
	})

	// Nothing moves from here on, so cluster and plugin show the same state.
	started := map[string]int{}
	for _, slot := range settled.Slots {
		started[slot.Holder.Name] = slot.Index
	}
	var waiting []string
	for _, run := range queue.InOrder(queue.Shared(settled.Runs), settled.Slots) {
		if _, runs := started[run.Name]; !runs && run.Phase == queue.Pending {
			waiting = append(waiting, run.Name)
		}
	}
	if len(waiting) != runs-limit {
		t.Fatalf("%d runs wait, want %d", len(waiting), runs-limit)
	}

	var list view.List[view.Queue]
	s.pluginJSON(&list, "list", "-A")
	i := slices.IndexFunc(list.Items, func(q view.Queue) bool { return q.Namespace == s.Key.Namespace })
	if i < 0 {
		t.Fatalf("list shows no queue of %s: %+v", s.Key.Namespace, list.Items)
	}
	var described view.Queue
	s.pluginJSON(&described, "describe", s.Key.Repository)
	began := time.Now()
	watched := s.pluginWatch()
	t.Logf("watch shows its first picture after %s", time.Since(began).Round(time.Millisecond))
	for what, q := range map[string]view.Queue{"list": list.Items[i], "describe": described, "watch": watched} {
		if *q.Limit != limit || q.Started != limit || q.Claimed != 0 || q.Queued != len(waiting) {
			t.Errorf("%s: limit %d, %d started, %d claimed, %d queued", what, *q.Limit, q.Started, q.Claimed, q.Queued)
		}
		running, line := map[string]int{}, []string{}
		for _, r := range q.Runs {
			switch r.State {
			case queue.StateStarted:
				running[r.Name] = *r.Slot
			case queue.StateQueued:
				if line = append(line, r.Name); r.Position != len(line) {
					t.Errorf("%s: %s has position %d", what, r.Name, r.Position)
				}
			case queue.StateClaimed, queue.StateDone:
				t.Errorf("%s: %s is %s", what, r.Name, r.State)
			}
		}
		if diff := cmp.Diff(started, running); diff != "" {
			t.Errorf("%s: running (-cluster +plugin):\n%s", what, diff)
		}
		if diff := cmp.Diff(waiting, line); diff != "" {
			t.Errorf("%s: waiting (-cluster +plugin):\n%s", what, diff)
		}
	}
	for _, replica := range cluster.Addon().Replicas() {
		if diff := cmp.Diff(waiting, waitingIn(t, replica, s.Key)); diff != "" {
			t.Errorf("waiting, in the debug view of %s (-cluster +replica):\n%s", replica.Name(), diff)
		}
	}
	if described.TypicalRun == "" {
		t.Error("describe shows no typical duration of a run")
	}

	// The add-on writes its annotations a little later.
	for i, name := range waiting[:3] {
		var run view.Run
		s.pluginJSON(&run, "run", name)
		if run.State != queue.StateQueued || run.Position != i+1 || run.EstimatedStart == nil {
			t.Errorf("run %s: %+v", name, run)
		}
		s.eventually("the annotations of "+name, suite.StepDeadline, func() error {
			pr, err := s.Tekton.TektonV1().PipelineRuns(s.Key.Namespace).Get(s.ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			position, reason := pr.Annotations[pac.Position], pr.Annotations[pac.Reason]
			if position != fmt.Sprint(run.Position) || reason != run.Reason {
				return fmt.Errorf("the annotations say position %s, %s; the plugin says %d, %s", position, reason, run.Position, run.Reason)
			}
			return nil
		})
	}
	for name, slot := range started {
		var run view.Run
		s.pluginJSON(&run, "run", name)
		if run.State != queue.StateStarted || *run.Slot != slot {
			t.Errorf("run %s: %+v", name, run)
		}
	}

	for _, args := range [][]string{
		{"list", "-A"},
		{"list", "-o", "wide"},
		{"describe", s.Key.Repository},
		{"run", waiting[4]},
		{"run", slices.Sorted(maps.Keys(started))[0]},
		{"doctor"},
	} {
		began := time.Now()
		text := s.plugin(args...)
		t.Logf("%s (%s):\n%s", strings.Join(args, " "), time.Since(began).Round(time.Millisecond), text)
	}
	for _, name := range append(waiting, slices.Collect(maps.Keys(started))...) {
		s.patch(name, cancelled)
	}
	s.done(4 + runs)
	s.audited()
}

// pluginCommand runs the plugin in the scene's namespace.
func (s *scene) pluginCommand(ctx context.Context, out io.Writer, args ...string) error {
	c := cli.Command("kubectl pac-queue")
	c.SetArgs(append(args, "--kubeconfig", cluster.Kubeconfig(stack.Admin), "--namespace", s.Key.Namespace))
	c.SetOut(out)
	c.SetErr(io.Discard)
	return c.ExecuteContext(ctx)
}

func (s *scene) plugin(args ...string) string {
	s.Helper()
	var out bytes.Buffer
	if err := s.pluginCommand(s.ctx, &out, args...); err != nil {
		s.Errorf("%v: %v\n%s", args, err, &out)
	}
	return out.String()
}

func (s *scene) pluginJSON(into any, args ...string) {
	s.Helper()
	out := s.plugin(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		s.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// pluginWatch returns the first document that watch prints, and stops it.
func (s *scene) pluginWatch() (q view.Queue) {
	s.Helper()
	ctx, stop := context.WithTimeout(s.ctx, suite.StepDeadline)
	defer stop()
	in, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := s.pluginCommand(ctx, out, "watch", s.Key.Repository, "-o", "json")
		ended <- err
		out.CloseWithError(err)
	}()
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		s.Fatalf("watch: %v", err)
	}
	stop()
	in.Close()
	if err := <-ended; err != nil {
		s.Errorf("watch: %v", err)
	}
	return q
}

// waitingIn returns the waiting runs of a queue by a replica's debug view.
func waitingIn(t *testing.T, replica *stack.Replica, key queue.Key) []string {
	t.Helper()
	answer, err := http.Get(replica.DebugURL + "/debug/queues")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var said view.List[debug.Queue]
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, q := range said.Items {
		if q.Namespace != key.Namespace || q.Repository != key.Repository {
			continue
		}
		for _, run := range q.Runs {
			if run.Position > 0 {
				names = append(names, run.Name)
			}
		}
	}
	return names
}
