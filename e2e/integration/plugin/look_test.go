package plugin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// A developer, who may not read the add-on's objects, sees the queues, learns what the plugin
// assumed, and is offered existing names in place of a wrong one.
func TestLookWithTheRightsOfADeveloper(t *testing.T) {
	const namespace = "team"
	site.NewQueue(t, namespace, 1)
	site.Push(t, namespace, "build", "deploy")
	site.AwaitStart(t, namespace, "build")
	fixture.Must(t, site.CreateRun(t.Context(), namespace, &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: "own"},
		Spec:       tektonv1.PipelineRunSpec{PipelineRef: &tektonv1.PipelineRef{Name: "build"}},
	}))
	for _, c := range []struct {
		args string
		want string // in the output or the error
	}{
		{"list", "shop"},
		{"list -A", namespace},
		{"list -o yaml", "queued: 1"},
		{"describe shop", "slots taken"},
		{"describe shop -o yaml", "repository: shop"},
		{"run deploy", "queued, position 1 of 1"},
		{"run build", "started in slot 0"},
		{"describe none", "there is no Repository none in namespace team; those with a queue are shop"},
		{"run none", "there is no PipelineRun none in namespace team"},
		{"list -o name", "runqueue.pac-lease-queue.dev/shop"},
		{"list -o jsonpath={.items[*].queued}", "1"},
		{"run deploy -o name", "pipelinerun.tekton.dev/deploy"},
		{"run deploy -o jsonpath={.position}", "1"},
		{"run own", "PipelineRun team/own is in no queue: it is not one of Pipelines-as-Code"},
		{"watch none", "there is no Repository none in namespace team"},
		{"__complete describe s", "shop"},
		{"__complete run d", "deploy"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.Fields(c.args)
			completes := args[0] == cobra.ShellCompRequestCmd
			if completes { // the word to complete comes last
				args = slices.Insert(args, 1, "--kubeconfig", site.Kubeconfig(stack.Developer), "--namespace", namespace)
			} else {
				args = append(args, "--namespace", namespace)
			}
			out, notes, err := command(t, stack.Developer, args...)
			if all := fmt.Sprint(out, err); !strings.Contains(all, c.want) {
				t.Errorf("no %q in:\n%s", c.want, all)
			}
			if err == nil && !completes && !strings.Contains(notes, "You may not list Deployments") {
				t.Errorf("notes:\n%s", notes)
			}
		})
	}
}

// A user without any rights learns which ones to ask for.
func TestLookWithoutRights(t *testing.T) {
	site.NewQueue(t, "closed", 1)
	_, _, err := command(t, stack.Developer, "list", "--namespace", "closed", "--as", "stranger")
	if err == nil || !strings.Contains(err.Error(), "impersonate") {
		t.Errorf("a developer who impersonates another user gets %v, want a refusal", err)
	}
	for args, want := range map[string]string{
		"--namespace closed": "you may not read Repositories in namespace closed; ask for the verbs get and list",
		"-A":                 "you may not read Repositories in all namespaces; ask for the verbs get and list, or name one namespace",
	} {
		_, _, err := command(t, stack.Admin, append([]string{"list", "--as", "stranger"}, strings.Fields(args)...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
