package metrics

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const (
	stalled       = "PacLeaseQueueStalled"
	limitExceeded = "PacLeaseQueueLimitExceeded"
	recoveryBusy  = "PacLeaseQueueRecoveryBusy"
	outOfSync     = "PacLeaseQueueReplicaOutOfSync"
)

// repository is one queue, in a namespace of the same name.
type repository struct {
	*testing.T
	name   string
	git    provider.Repository
	pushes int
}

func newRepository(t *testing.T, name string, limit int) *repository {
	t.Helper()
	git, err := cluster.Gitea().NewRepository(t.Context(), name)
	fixture.Must(t, err)
	_, err = cluster.NewPACRepository(t.Context(), name, name, git, &limit)
	fixture.Must(t, err)
	return &repository{T: t, name: name, git: git}
}

// push pushes n runs of the given duration.
func (r *repository) push(n int, each time.Duration) {
	r.Helper()
	r.pushes++
	_, err := r.git.Push(r.Context(), stack.RunFiles(n, each), fmt.Sprint("push ", r.pushes))
	fixture.Must(r.T, err)
}

func (r *repository) runs() []tektonv1.PipelineRun {
	r.Helper()
	list, err := as(r.T, stack.Admin).Tekton.TektonV1().PipelineRuns(r.name).List(r.Context(), metav1.ListOptions{})
	fixture.Must(r.T, err)
	return list.Items
}

// wait waits until that many runs are pending and that many are done.
func (r *repository) wait(within time.Duration, pending, done int) {
	r.Helper()
	fixture.Eventually(r.T, within, "runs of "+r.name, func() error {
		isPending, isDone := 0, 0
		for _, run := range r.runs() {
			switch {
			case run.IsDone():
				isDone++
			case run.IsPending():
				isPending++
			}
		}
		if isPending != pending || isDone != done {
			return fmt.Errorf("%d runs are pending and %d done, want %d and %d", isPending, isDone, pending, done)
		}
		return nil
	})
}

// as returns the clients of a user.
func as(t *testing.T, user stack.User) fixture.Clients {
	t.Helper()
	clients, err := fixture.NewClients(cluster.Config(user))
	fixture.Must(t, err)
	return clients
}

// waitQuery waits until the result of a query satisfies a condition.
func waitQuery(t *testing.T, within time.Duration, what, expression string, condition func([]sample) bool) {
	t.Helper()
	fixture.Eventually(t, within, what, func() error {
		samples, err := prometheus.query(t.Context(), expression)
		if err == nil && !condition(samples) {
			err = fmt.Errorf("%s is %v", expression, samples)
		}
		return err
	})
}

// waitSilent waits until no alert fires.
func waitSilent(t *testing.T) {
	t.Helper()
	fixture.Eventually(t, alertDeadline, "silence", func() error {
		if firing := prometheus.firing(t); len(firing) > 0 {
			return fmt.Errorf("the firing alerts are %v", firing)
		}
		return nil
	})
}

// normalFor is the duration of the normal run. It suffices for every rule to fire.
const normalFor = 80 * time.Second

// TestNormal: no alert fires while runs pass through a queue and replicas are replaced one by one.
func TestNormal(t *testing.T) {
	needsStack(t)
	began := time.Now()
	r := newRepository(t, "normal", 2)
	for done := 8; time.Since(began) < normalFor; done += 8 {
		r.push(8, 2*time.Second)
		waitQuery(t, stepDeadline, "runs seen waiting",
			`max by (namespace, repository) (pac_lease_queue_runs_waiting{repository="normal"}) > 0`,
			func(samples []sample) bool { return len(samples) == 1 && samples[0].Metric["namespace"] == "normal" })
		if done == 8 {
			fixture.Must(t, addon.Upgrade(t.Context(), "podAnnotations.rolled=once"))
		}
		r.wait(drainDeadline, 0, done)
	}
	waitQuery(t, stepDeadline, "the limit as both replicas export it", `pac_lease_queue_slots_limit{repository="normal"} == 2`,
		func(samples []sample) bool { return len(samples) == 2 })
	if fired := prometheus.fired(t, began); len(fired) > 0 {
		t.Errorf("in a normal run the alerts %v fired", fired)
	}
}

// TestFaults: at the same time, the starts of one queue are refused, a run of another is started
// past the guard, and a replica loses the API server. An alert fires for each fault, names the
// right queue, and ends with the fault.
func TestFaults(t *testing.T) {
	needsStack(t)
	waitSilent(t)
	began := time.Now()

	// Replica 1 sees two runs of this queue, and none of those pushed after the cut.
	cut := newRepository(t, "cut", 1)
	cut.push(2, time.Minute)
	waitQuery(t, stepDeadline, "both replicas saw one run wait 25 seconds ago",
		`count(pac_lease_queue_runs_waiting{repository="cut"} offset 25s == 1)`,
		func(samples []sample) bool { return len(samples) == 1 && samples[0].Value[1] == "2" })
	network.cut(1)
	cut.push(3, time.Second)

	refused := newRepository(t, "refused", 1)
	lift := refused.refuseStarts()
	refused.push(2, time.Second)

	exceeded := newRepository(t, "exceeded", 1)
	exceeded.push(2, 90*time.Second)
	exceeded.wait(stepDeadline, 1, 0)
	exceeded.startByHand()

	want := []string{limitExceeded + " exceeded", outOfSync + " cut", stalled + " refused"}
	fixture.Eventually(t, alertDeadline, "an alert for each fault", func() error {
		if fired := prometheus.fired(t, began); !containsAll(fired, want) {
			return fmt.Errorf("the alerts %v fired, want %v", fired, want)
		}
		return nil
	})
	for _, alert := range prometheus.fired(t, began) {
		// The cut replica does not see the other new queues either, and a start that was refused to
		// one replica is tried by the other as a recovery.
		name, _, _ := strings.Cut(alert, " ")
		if !slices.Contains(want, alert) && name != outOfSync && name != recoveryBusy {
			t.Errorf("the alert %s fired, too", alert)
		}
	}

	fixture.Must(t, network.mend(1))
	lift()
	refused.wait(drainDeadline, 0, 2)
	exceeded.wait(drainDeadline, 0, 2)
	cut.wait(drainDeadline, 0, 5)
	waitSilent(t)
}

// TestRecoveryBusy: its alert fires, and no other, while the leading replica is killed again and
// again.
func TestRecoveryBusy(t *testing.T) {
	needsStack(t)
	waitSilent(t)
	began := time.Now()
	r := newRepository(t, "killed", 1)
	r.push(40, time.Second)
	r.wait(stepDeadline, 39, 0)
	victim := 0
	fixture.Eventually(t, alertDeadline, "the alert "+recoveryBusy, func() error {
		replica := addon.Replicas()[victim]
		fixture.Must(t, replica.Kill())
		// If the killed replica led, the other one takes over.
		survivor := addon.Replicas()[1-victim].Name()
		ctx, cancel := context.WithTimeout(t.Context(), 9*takeoverAfter)
		defer cancel()
		for ctx.Err() == nil && !increased(ctx, survivor) {
			sleep(ctx, 200*time.Millisecond)
		}
		fixture.Must(t, replica.Restart(t.Context()))
		victim = 1 - victim
		if fired := prometheus.fired(t, began); !slices.Equal(fired, []string{recoveryBusy}) {
			return fmt.Errorf("the alerts %v fired", fired)
		}
		return nil
	})
	waitSilent(t)
}

// increased reports whether a replica has recovered something within the last seconds.
func increased(ctx context.Context, replica string) bool {
	samples, err := prometheus.query(ctx, fmt.Sprintf(`sum(increase(pac_lease_queue_recoveries_total{pod=%q}[4s])) > 0`, replica))
	return err == nil && len(samples) > 0
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func needsStack(t *testing.T) {
	t.Helper()
	if cluster == nil {
		t.Skip("needs the whole stack")
	}
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// refuseStarts makes the API server refuse every write of the add-on to runs of the Repository,
// until lift is called.
func (r *repository) refuseStarts() (lift func()) {
	r.Helper()
	liftPolicy, err := as(r.T, stack.Admin).RefuseUpdates(r.Context(), r.name,
		fmt.Sprintf("!request.userInfo.username.startsWith('system:serviceaccount:%s:')", addon.Namespace()))
	fixture.Must(r.T, err)
	return func() { fixture.Must(r.T, liftPolicy(r.Context())) }
}

// startByHand starts a waiting run as a user whom the guard exempts.
func (r *repository) startByHand() {
	r.Helper()
	for _, run := range r.runs() {
		if run.IsPending() {
			start := map[string]any{"spec": map[string]any{"status": nil}}
			fixture.Must(r.T, as(r.T, stack.Developer).PatchRun(r.Context(), r.name, run.Name, start))
			return
		}
	}
	r.Fatal("no run waits")
}
