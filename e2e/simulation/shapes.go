package simulation

import (
	"fmt"
	"strconv"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

// shape is what people do to a RunQueue.
func (c *Cluster) shape() {
	key := c.someQueue()
	was := c.runQueue(key)
	if was != nil && c.chance(20) {
		c.trace("RunQueue %s is deleted", key.Repository)
		c.server.remove(runQueues, was, nil)
		return
	}
	c.setSpec(key, c.someSpec())
}

func (c *Cluster) someSpec() v1alpha1.RunQueueSpec {
	spec := v1alpha1.RunQueueSpec{
		Paused: c.chance(25),
		Order:  []v1alpha1.Order{v1alpha1.OrderEvents, v1alpha1.OrderNewestFirst, v1alpha1.OrderFair}[c.rnd.IntN(3)],
		FairBy: []v1alpha1.FairBy{v1alpha1.FairByBranch, v1alpha1.FairBySender}[c.rnd.IntN(2)],
	}
	if c.chance(25) {
		spec.Waiting.Keep = v1alpha1.KeepNewest
	}
	if c.chance(25) {
		spec.Waiting.Max = int32(1 + c.rnd.IntN(3))
	}
	if c.release.SeesPods() {
		spec.Release = []v1alpha1.Release{"", v1alpha1.ReleaseDone, v1alpha1.ReleasePodsGone, v1alpha1.ReleasePodsGone}[c.rnd.IntN(4)]
	}
	if c.chance(15) {
		spec.Waiting.MaxAge = []string{"20s", "2m"}[c.rnd.IntN(2)]
	}
	if c.chance(40) {
		spec.Priorities = []v1alpha1.PriorityRule{
			{When: "event.branch == 'main'", Priority: 5}, {When: "definition == 'build-1'", Priority: -3},
		}
	}
	return spec
}

// setSpec makes or edits a RunQueue.
func (c *Cluster) setSpec(key queue.Key, spec v1alpha1.RunQueueSpec) {
	c.trace("RunQueue %s is %+v now", key.Repository, spec)
	was := c.runQueue(key)
	if was == nil {
		c.server.create(runQueues, &v1alpha1.RunQueue{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Repository, Generation: 1}, Spec: spec,
		}, nil)
		return
	}
	is := was.DeepCopy()
	is.Spec = spec
	is.Generation++
	c.server.replace(runQueues, was, is, nil)
}

func (c *Cluster) runQueue(key queue.Key) *v1alpha1.RunQueue {
	rq, _ := c.server.objects[runQueues][key.String()].(*v1alpha1.RunQueue)
	return rq
}

// prioritize is somebody who is in a hurry.
func (c *Cluster) prioritize() {
	c.editRun(c.one(c.pending(c.someQueue())), "gets another priority", func(pr *tektonv1.PipelineRun) {
		pr.Annotations[pac.Priority] = strconv.Itoa(c.rnd.IntN(5) - 2)
	})
}

// resume ends pauses. The rest of what people want of queues stays.
func (c *Cluster) resume() {
	for _, key := range c.queues {
		if rq := c.runQueue(key); rq != nil && rq.Spec.Paused {
			spec := *rq.Spec.DeepCopy()
			spec.Paused = false
			c.setSpec(key, spec)
		}
	}
}

// shaped is a spec that was in force, and since when.
type shaped struct {
	spec queue.Spec
	at   time.Time
}

// reshape is told what people want of the queue now; nil is nothing. Runs get other priorities by
// that.
func (j *judge) reshape(is object) {
	c, now := j.cluster, j.cluster.now
	spec := queue.Spec{}
	delete(c.shapes, j.key)
	if rq, exists := is.(*v1alpha1.RunQueue); exists {
		shape, err := runqueue.Compile(rq.Spec)
		if err != nil {
			panic(err)
		}
		spec, c.shapes[j.key] = shape.Spec(), shape
	}
	if len(j.shapes) == 0 {
		j.shapes = append(j.shapes, shaped{at: noon})
	}
	j.shapes = append(j.shapes, shaped{spec, now})
	j.audit.SetSpec(spec, now)
	for _, pr := range c.pending(j.key) {
		run := c.read(pr)
		j.known[pr.UID] = run
		j.audit.Run(run, now)
	}
}

// specs are those that a replica may go by: one counts for as long as the next may be unseen.
func (j *judge) specs() []queue.Spec {
	if len(j.shapes) == 0 {
		return []queue.Spec{{}}
	}
	var all []queue.Spec
	for i, s := range j.shapes {
		if i+1 == len(j.shapes) || j.cluster.now.Sub(j.shapes[i+1].at) <= j.cluster.lag {
			all = append(all, s.spec)
		}
	}
	return all
}

// unwanted says why no spec is a reason to end a run that waits; empty if one is.
func (j *judge) unwanted(pr *tektonv1.PipelineRun) (why string) {
	c := j.cluster
	if j.begun[pr.UID] {
		return "it goes on, and no run supersedes it"
	}
	for _, spec := range j.specs() {
		switch {
		case spec.KeepNewest && j.outdated(pr, queue.Newer) == "":
			return ""
		case spec.Paused:
			why = "its queue is paused"
		case spec.MostWaiting > 0 && j.before(pr) >= spec.MostWaiting:
			return ""
		case spec.MaxAge > 0 && c.now.Sub(pr.CreationTimestamp.Time) >= spec.MaxAge-2*c.skew:
			return ""
		default:
			why = fmt.Sprintf("its queue is %+v", spec)
		}
	}
	return why
}

// before counts the other runs that are no newer: those of the same second are in any order as long
// as their places are not known.
func (j *judge) before(pr *tektonv1.PipelineRun) (n int) {
	for uid, run := range j.known {
		if uid != pr.UID && !run.Created.After(pr.CreationTimestamp.Time) {
			n++
		}
	}
	return n
}

// shaping has people shape queues.
func shaping(m *mixture) {
	m.shaped, m.traceable, m.happens["shape"], m.happens["prioritize"] = true, true, 4, 3
}
