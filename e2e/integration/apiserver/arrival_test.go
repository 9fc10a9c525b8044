package apiserver_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

// pair is two runs of different events that were created within one second.
type pair struct {
	key           queue.Key
	first, second *tektonv1.PipelineRun // as they were created
	// discarded are runs that were deleted because they were not created within one second.
	discarded int
}

// pushTwice creates the runs of two events within one second, as PAC does: their orders come when
// both are there, and that of the second comes first. By their hashes, the second one is first.
func (c *cluster) pushTwice(key queue.Key, edits ...func(*tektonv1.PipelineRun)) pair {
	c.Helper()
	runs := c.Tekton.TektonV1().PipelineRuns(key.Namespace)
	discarded := 0
	for attempt := range 20 {
		names := []string{fmt.Sprintf("push-a-%d", attempt), fmt.Sprintf("push-b-%d", attempt)}
		if queue.NewSequence(names[:1]).ID < queue.NewSequence(names[1:]).ID {
			names[0], names[1] = names[1], names[0]
		}
		var created []*tektonv1.PipelineRun
		for _, name := range names {
			pr := fixture.Run(key, name)
			delete(pr.Annotations, keys.ExecutionOrder)
			for _, edit := range edits {
				edit(pr)
			}
			pr, err := runs.Create(c.Context(), pr, metav1.CreateOptions{})
			c.must(err)
			created = append(created, pr)
		}
		if !created[0].CreationTimestamp.Equal(&created[1].CreationTimestamp) {
			for _, name := range names {
				discarded++
				c.must(runs.Delete(c.Context(), name, metav1.DeleteOptions{}))
			}
			continue
		}
		for _, name := range []string{names[1], names[0]} {
			c.must(c.AnnotateRun(c.Context(), key.Namespace, name, map[string]string{pac.HeldOrder: key.Namespace + "/" + name}))
		}
		c.waitFor(key, "both runs", stepDeadline, func(v history.View) bool {
			return v.PipelineRuns[names[0]] != nil && v.PipelineRuns[names[1]] != nil
		})
		return pair{key, created[0], created[1], discarded}
	}
	c.Fatal("no two runs were created within one second")
	return pair{}
}

// waitStamped waits until it is written down of both events when they came, and wants that to be
// when their runs were created.
func (c *cluster) waitStamped(p pair) {
	c.Helper()
	stamp := func(v history.View, pr *tektonv1.PipelineRun) string {
		return v.PipelineRuns[pr.Name].Annotations[pac.Arrived]
	}
	c.waitFor(p.key, "stamp on both runs", stepDeadline, func(v history.View) bool {
		return stamp(v, p.first) != "" && stamp(v, p.second) != ""
	})
	v := c.View(p.key)
	for _, pr := range []*tektonv1.PipelineRun{p.first, p.second} {
		if got := stamp(v, pr); got != pr.ResourceVersion {
			c.Errorf("%s was created as version %s and is stamped with %s", pr.Name, pr.ResourceVersion, got)
		}
	}
}

// repetitions of P5 and P6 are as many as the cases that failed.
const repetitions = 12

// busyQueues are queues with a limit of one, in each of which a run runs.
func (c *cluster) busyQueues(n int) []queue.Key {
	c.Helper()
	var busy []queue.Key
	for range n {
		key := c.newQueue(1)
		c.push(key, "running", 1)
		busy = append(busy, key)
	}
	for _, key := range busy {
		c.waitFor(key, "running run", stepDeadline, viewStarted(1))
	}
	return busy
}

// wantFirst ends the run that runs and wants the next one to be the one that came first.
func (c *cluster) wantFirst(p pair) {
	c.Helper()
	c.finish(p.key, "running-01")
	next := func(v history.View) (name string) {
		for _, r := range v.In(queue.Started) {
			if r.Name != "running-01" {
				name = r.Name
			}
		}
		return name
	}
	c.waitFor(p.key, "next run", stepDeadline, func(v history.View) bool { return next(v) != "" })
	if got := next(c.View(p.key)); got != p.first.Name {
		c.Errorf("%s: %s starts, which came after %s", p.key, got, p.first.Name)
	}
}

// waitSound waits until every run is done and every slot is free, and wants each queue to have kept
// every invariant.
func (c *cluster) waitSound(runs int, pairs ...pair) {
	c.Helper()
	for _, p := range pairs {
		c.waitOver(p.key)
		c.wantSound(runs+p.discarded, p.key)
		c.wantNoWarnings(p.key)
	}
}

// P5: of two pushes within one second, the first one starts first.
func TestFirstComeFirstServed(t *testing.T) {
	c := newCluster(t)
	startReplica(t, usualConfig)
	startReplica(t, usualConfig)
	busy := c.busyQueues(repetitions)
	var pairs []pair
	for _, key := range busy {
		pairs = append(pairs, c.pushTwice(key))
	}
	for _, p := range pairs {
		c.waitStamped(p)
	}
	for _, p := range pairs {
		c.wantFirst(p)
	}
	c.play(1, soon)
	c.waitSound(3, pairs...)
}

// P5, with room for both from the first: the fresh look that comes before the first claim may show
// runs that the watch has yet to show.
func TestFirstComeFirstServedAtOnce(t *testing.T) {
	c := newCluster(t)
	startReplica(t, usualConfig)
	startReplica(t, usualConfig)
	var pairs []pair
	for range repetitions {
		key := c.newQueue(1)
		p := c.pushTwice(key)
		pairs = append(pairs, p)
		c.waitFor(key, "started run", stepDeadline, viewStarted(1))
		// The order of the second came first: there may have been nothing else to start.
		if started := c.View(key).In(queue.Started)[0]; started.Name == p.second.Name && started.Arrived.Known() {
			c.Errorf("%s: %s starts, which came after %s, and is stamped with %s", key, p.second.Name, p.first.Name, started.Arrived)
		}
	}
	c.play(1, soon)
	c.waitSound(2, pairs...)
}

// P5, and no replica is left that has seen the pushes come: what one of them has written down
// counts.
func TestOrderSurvivesReplicas(t *testing.T) {
	c := newCluster(t)
	var pairs []pair
	t.Run("those that see them come", func(t *testing.T) {
		c := c.in(t)
		startReplica(t, usualConfig)
		startReplica(t, usualConfig)
		for _, key := range c.busyQueues(3) {
			pairs = append(pairs, c.pushTwice(key))
			c.waitStamped(pairs[len(pairs)-1])
		}
	})
	t.Run("those that do not", func(t *testing.T) {
		c := c.in(t)
		startReplica(t, usualConfig)
		startReplica(t, usualConfig)
		for _, p := range pairs {
			c.wantFirst(p)
		}
		c.play(1, soon)
		c.waitSound(3, pairs...)
	})
}

// Nobody saw them come: what replicas can bound orders them all the same, and the queue goes on.
func TestOrderOfWhatNoReplicaSaw(t *testing.T) {
	c := newCluster(t)
	key := c.newQueue(1)
	p := c.pushTwice(key)
	startReplica(t, usualConfig)
	startReplica(t, usualConfig)
	c.waitFor(key, "started run", stepDeadline, viewStarted(1))
	v := c.View(key)
	for _, pr := range []*tektonv1.PipelineRun{p.first, p.second} {
		got := v.PipelineRuns[pr.Name].Annotations[pac.Arrived]
		if a, err := queue.ParseArrival(got); err != nil || !a.AtMost {
			t.Errorf("%s is stamped with %q, want a bound: %v", pr.Name, got, err)
		}
	}
	c.play(1, soon)
	c.waitSound(2, p)
}

// P6: of two events of a pull request within one second, the newer one replaces the older one.
func TestSupersededWithinASecond(t *testing.T) {
	c := newCluster(t)
	startReplica(t, usualConfig)
	startReplica(t, usualConfig)
	ofPullRequest := func(pr *tektonv1.PipelineRun) {
		maps.Copy(pr.Annotations, map[string]string{
			keys.OriginalPRName: "build", keys.EventType: "pull_request", keys.PullRequest: "7", keys.SourceBranch: "topic",
			keys.CancelInProgress: "true",
		})
	}
	var pairs []pair
	for range repetitions {
		key := c.newQueue(2)
		p := c.pushTwice(key, ofPullRequest)
		pairs = append(pairs, p)
		ended := func(v history.View, pr *tektonv1.PipelineRun) bool {
			is := pac.ReadRun(v.PipelineRuns[pr.Name])
			return is.Ending || is.Phase == queue.Done
		}
		c.waitFor(key, "end of the older run", stepDeadline, func(v history.View) bool {
			return ended(v, p.first) || ended(v, p.second)
		})
		c.waitFor(key, "start of the newer run", stepDeadline, func(v history.View) bool {
			return pac.ReadRun(v.PipelineRuns[p.second.Name]).Phase == queue.Started
		})
		if v := c.View(key); !ended(v, p.first) || ended(v, p.second) {
			t.Errorf("%s: %s, the older one, is %s and %s %s", key, p.first.Name, v.PipelineRuns[p.first.Name].Spec.Status,
				p.second.Name, v.PipelineRuns[p.second.Name].Spec.Status)
		}
		c.waitStamped(p)
	}
	c.play(1, soon)
	c.waitSound(2, pairs...)
}
