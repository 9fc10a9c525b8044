package plugin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// bind gives a user the chart's roles of that suffix, and Tekton's of the same, in a namespace.
func bind(t *testing.T, namespace, user string, roles ...string) {
	t.Helper()
	for _, role := range roles {
		_, err := site.Kube.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user + "-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		}, metav1.CreateOptions{})
		fixture.Must(t, err)
	}
}

// runsRole creates a role with these verbs on PipelineRuns, as Tekton's own roles have them.
func runsRole(t *testing.T, name string, verbs ...string) string {
	t.Helper()
	_, err := site.Kube.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"tekton.dev"}, Resources: []string{"pipelineruns"}, Verbs: verbs},
			{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"get", "list"}},
		},
	}, metav1.CreateOptions{})
	fixture.Must(t, err)
	return name
}

func TestVersion(t *testing.T) {
	site.Needed(t)
	out, _, err := command(t, stack.Admin, "version")
	if err != nil || !strings.Contains(out, "Client:") || !strings.Contains(out, "in Deployment pac-lease-queue/pac-lease-queue") {
		t.Errorf("%v:\n%s", err, out)
	}
	out, _, err = command(t, stack.Admin, "version", "--client", "-o", "json")
	if err != nil || !strings.Contains(out, `"commit"`) || strings.Contains(out, "installations") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestAct: an editor pauses a queue, has a run go first, cancels one and ends the pause; a viewer
// sees all of that, and is told what it lacks.
func TestAct(t *testing.T) {
	const namespace = "act"
	site.NewQueue(t, namespace, 1)
	bind(t, namespace, "editor", release+"-view", release+"-edit", runsRole(t, "runs-edit", "get", "list", "watch", "patch"))
	bind(t, namespace, "viewer", release+"-view", runsRole(t, "runs-view", "get", "list", "watch"))
	as := func(user, args string) (string, string, error) {
		return command(t, stack.Admin, append(strings.Fields(args), "--as", user, "--namespace", namespace)...)
	}
	says := func(user, args, want string) {
		t.Helper()
		out, notes, err := as(user, args)
		if all := fmt.Sprint(out, err); !strings.Contains(all, want) {
			t.Fatalf("%s, %s: no %q in:\n%s%s", user, args, want, all, notes)
		}
	}
	says("viewer", "pause shop", "you may not patch runqueues.pac-lease-queue.dev in namespace act")
	says("editor", "pause none", "there is neither a RunQueue nor a Repository of that name")
	says("editor", "pause shop --reason database-migration", "Queue act/shop is paused: nothing starts until you resume it")
	runQueues, err := runqueue.NewClient(site.Config(stack.Admin))
	fixture.Must(t, err)
	rq, err := runQueues.In(namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	fixture.Must(t, err)
	if !rq.Spec.Paused || len(rq.OwnerReferences) != 1 {
		t.Errorf("the RunQueue is %+v", rq)
	}
	for _, name := range []string{"one", "two", "three"} {
		site.Push(t, namespace, name)
	}
	eventually(t, "a viewer sees the pause, and reads by whom", func() error {
		for args, want := range map[string]string{
			"list": "Paused", "describe shop": "editor", "run three": "paused (by editor: database-migration)",
		} {
			out, notes, err := as("viewer", args)
			switch {
			case err != nil:
				return err
			case !strings.Contains(out, want):
				return fmt.Errorf("%s: no %q in:\n%s", args, want, out)
			case notes != "":
				return fmt.Errorf("%s: a viewer is told: %s", args, notes)
			}
		}
		return nil
	})
	says("viewer", "prioritize three", "you may not patch pipelineruns.tekton.dev")
	says("editor", "prioritize three 2000", `"2000" is no priority: want a number from -1000 to 1000`)
	says("editor", "prioritize three 7", "PipelineRun act/three of queue shop has priority 7")
	says("editor", "cancel one", "PipelineRun act/one of queue shop is cancelled")
	says("editor", "cancel one", "it is done")
	says("editor", "cancel none", "there is no PipelineRun none in namespace act")
	says("editor", "resume shop", "Queue act/shop is not paused")
	site.AwaitStart(t, namespace, "three")
	says("editor", "prioritize three", "it does not wait any more")
	two, err := site.Tekton.TektonV1().PipelineRuns(namespace).Get(t.Context(), "two", metav1.GetOptions{})
	fixture.Must(t, err)
	if !two.IsPending() {
		t.Error("two is started beside three")
	}
	one, err := site.Tekton.TektonV1().PipelineRuns(namespace).Get(t.Context(), "one", metav1.GetOptions{})
	fixture.Must(t, err)
	if one.Spec.Status != tektonv1.PipelineRunSpecStatusCancelled || one.Annotations[pac.Claim] != "" {
		t.Errorf("one has status %q", one.Spec.Status)
	}
	eventually(t, "nothing says that the queue is paused", func() error {
		out, _, err := as("viewer", "list")
		if err == nil && strings.Contains(out, "Paused") {
			err = errors.New(out)
		}
		return err
	})
}
