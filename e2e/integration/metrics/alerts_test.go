package metrics

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
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
	must(t, err)
	_, err = cluster.NewPACRepository(t.Context(), name, name, git, &limit)
	must(t, err)
	return &repository{T: t, name: name, git: git}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// push pushes n runs that take so long each.
func (r *repository) push(n int, each time.Duration) {
	r.Helper()
	r.pushes++
	_, err := r.git.Push(r.Context(), stack.RunFiles(n, each), fmt.Sprint("push ", r.pushes))
	must(r.T, err)
}

func (r *repository) runs() []tektonv1.PipelineRun {
	r.Helper()
	list, err := as(r.T, stack.Admin).TektonV1().PipelineRuns(r.name).List(r.Context(), metav1.ListOptions{})
	must(r.T, err)
	return list.Items
}

// wait waits until so many runs are pending and so many are done.
func (r *repository) wait(within time.Duration, pending, done int) {
	r.Helper()
	eventually(r.T, within, func() error {
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
			return fmt.Errorf("%s: %d runs are pending and %d done, want %d and %d", r.name, isPending, isDone, pending, done)
		}
		return nil
	})
}

func as(t *testing.T, user stack.User) tektonclient.Interface {
	t.Helper()
	client, err := tektonclient.NewForConfig(cluster.Config(user))
	must(t, err)
	return client
}

// eventually asks again and again.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), within, fmt.Errorf("not within %s", within))
	defer cancel()
	must(t, await.Until(ctx, 200*time.Millisecond, check))
}

// silent waits until no alert fires.
func silent(t *testing.T) {
	t.Helper()
	eventually(t, alertDeadline, func() error {
		if firing := prometheus.firing(t); len(firing) > 0 {
			return fmt.Errorf("%v fire", firing)
		}
		return nil
	})
}

// normally is how long nothing happens but the usual: every rule could have fired by then.
const normally = 80 * time.Second

// TestNormal: runs go through a queue, replicas are replaced one after the other, and no alert fires.
func TestNormal(t *testing.T) {
	needsStack(t)
	began := time.Now()
	r := newRepository(t, "normal", 2)
	for done := 8; time.Since(began) < normally; done += 8 {
		r.push(8, 2*time.Second)
		eventually(t, stepDeadline, func() error {
			samples, err := prometheus.query(t.Context(), `max by (namespace, repository) (pac_lease_queue_runs_waiting{repository="normal"}) > 0`)
			if err == nil && (len(samples) != 1 || samples[0].Metric["namespace"] != "normal") {
				err = fmt.Errorf("the queue is seen as %v", samples)
			}
			return err
		})
		if done == 8 {
			must(t, addon.Upgrade(t.Context(), "podAnnotations.rolled=once"))
		}
		r.wait(drainDeadline, 0, done)
	}
	eventually(t, stepDeadline, func() error {
		samples, err := prometheus.query(t.Context(), `pac_lease_queue_slots_limit{repository="normal"} == 2`)
		if err == nil && len(samples) != 2 {
			err = fmt.Errorf("not both replicas are scraped: %v", samples)
		}
		return err
	})
	if fired := prometheus.fired(t, began); len(fired) > 0 {
		t.Errorf("in a normal run there fired %v", fired)
	}
}

// TestFaults: a queue whose starts are refused, a run that is started past the guard, and a replica that sees nothing any more, all at
// the same time: each is told of, of the right queue, and it is over when the fault is.
func TestFaults(t *testing.T) {
	needsStack(t)
	silent(t)
	began := time.Now()

	// Replica 1 has seen two runs of it, and then no more.
	cut := newRepository(t, "cut", 1)
	cut.push(2, time.Minute)
	eventually(t, stepDeadline, func() error {
		samples, err := prometheus.query(t.Context(), `count(pac_lease_queue_runs_waiting{repository="cut"} offset 25s == 1)`)
		if err == nil && (len(samples) != 1 || samples[0].Value[1] != "2") {
			err = fmt.Errorf("not both replicas saw one run wait 25 seconds ago: %v", samples)
		}
		return err
	})
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
	eventually(t, alertDeadline, func() error {
		if fired := prometheus.fired(t, began); !containsAll(fired, want) {
			return fmt.Errorf("there fired %v, want %v", fired, want)
		}
		return nil
	})
	for _, alert := range prometheus.fired(t, began) {
		// That there are queues that a replica does not see is out of sync, too; and what is refused to one replica another tries.
		name, _, _ := strings.Cut(alert, " ")
		if !slices.Contains(want, alert) && name != outOfSync && name != recoveryBusy {
			t.Errorf("there fired %s, too", alert)
		}
	}

	must(t, network.mend(1))
	lift()
	refused.wait(drainDeadline, 0, 2)
	exceeded.wait(drainDeadline, 0, 2)
	cut.wait(drainDeadline, 0, 5)
	silent(t)
}

// TestRecoveryBusy: the replica that is at work is killed again and again.
func TestRecoveryBusy(t *testing.T) {
	needsStack(t)
	silent(t)
	began := time.Now()
	r := newRepository(t, "killed", 1)
	r.push(40, time.Second)
	r.wait(stepDeadline, 39, 0)
	victim := 0
	eventually(t, alertDeadline, func() error {
		replica := addon.Replicas()[victim]
		must(t, replica.Kill())
		// Whoever lives goes on, if the one that was killed was at work.
		survivor := addon.Replicas()[1-victim].Name()
		ctx, cancel := context.WithTimeout(t.Context(), 3*takeoverAfter)
		defer cancel()
		for ctx.Err() == nil && !increased(ctx, survivor) {
			sleep(ctx, 200*time.Millisecond)
		}
		must(t, replica.Restart(t.Context()))
		victim = 1 - victim
		if fired := prometheus.fired(t, began); !slices.Equal(fired, []string{recoveryBusy}) {
			return fmt.Errorf("there fired %v", fired)
		}
		return nil
	})
	silent(t)
}

// increased says whether a replica has recovered something within the last seconds.
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
		t.Skip("runs on the whole stack")
	}
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// refuseStarts has the API server refuse every write of the add-on to runs of the Repository, until lift is called.
func (r *repository) refuseStarts() (lift func()) {
	r.Helper()
	client := cluster.Kubernetes().AdmissionregistrationV1()
	fail := admissionv1.Fail
	_, err := client.ValidatingAdmissionPolicies().Create(r.Context(), &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{"tekton.dev"}, APIVersions: []string{"v1"}, Resources: []string{"pipelineruns"}},
			}}}},
			Validations: []admissionv1.Validation{{
				Expression: fmt.Sprintf("object.metadata.namespace != %q || !request.userInfo.username.startsWith('system:serviceaccount:%s:')", r.name, addon.Namespace()),
				Message:    "refused by the test",
			}},
		},
	}, metav1.CreateOptions{})
	must(r.T, err)
	_, err = client.ValidatingAdmissionPolicyBindings().Create(r.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: r.name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}, metav1.CreateOptions{})
	must(r.T, err)
	return func() {
		must(r.T, client.ValidatingAdmissionPolicyBindings().Delete(r.Context(), r.name, metav1.DeleteOptions{}))
	}
}

// startByHand starts a waiting run as somebody whom the guard lets through.
func (r *repository) startByHand() {
	r.Helper()
	for _, run := range r.runs() {
		if run.IsPending() {
			_, err := as(r.T, stack.Developer).TektonV1().PipelineRuns(r.name).Patch(r.Context(), run.Name, types.MergePatchType,
				[]byte(`{"spec":{"status":null}}`), metav1.PatchOptions{})
			must(r.T, err)
			return
		}
	}
	r.Fatal("no run waits")
}
