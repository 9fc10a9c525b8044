package plugin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// A person on the team, who may not look at the add-on, sees the queues, is told what
// was assumed, and what there is instead of what they asked for.
func TestLookWithTheRightsOfAPerson(t *testing.T) {
	const namespace = "team"
	newQueue(t, namespace, 1)
	push(t, namespace, "build", "deploy")
	started(t, namespace, "build")
	own := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "own"}, Spec: tektonv1.PipelineRunSpec{PipelineRef: &tektonv1.PipelineRef{Name: "build"}}}
	_, err := tekton.TektonV1().PipelineRuns(namespace).Create(t.Context(), own, metav1.CreateOptions{})
	must(t, err)
	for _, c := range []struct {
		args string
		want string // in what is printed, or in the error
	}{
		{"list", "shop"},
		{"list -A", namespace},
		{"list -o yaml", "waiting: 1"},
		{"describe shop", "slots taken"},
		{"describe shop -o yaml", "repository: shop"},
		{"run deploy", "waiting, position 1 of 1"},
		{"run build", "running in slot 0"},
		{"describe none", "there is no Repository none in namespace team; those with a queue are shop"},
		{"run none", "there is no PipelineRun none in namespace team"},
		{"run own", "PipelineRun team/own is not one of Pipelines-as-Code"},
		{"watch none", "there is no Repository none in namespace team"},
		{"__complete describe s", "shop"},
		{"__complete run d", "deploy"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.Fields(c.args)
			completes := args[0] == cobra.ShellCompRequestCmd
			if completes { // what is to be completed comes last
				args = slices.Insert(args, 1, "--kubeconfig", cluster.Kubeconfig(stack.Developer), "--namespace", namespace)
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

// Somebody without any rights is told which they need.
func TestLookWithoutRights(t *testing.T) {
	newQueue(t, "closed", 1)
	_, _, err := command(t, stack.Developer, "list", "--namespace", "closed", "--as", "nobody")
	if err == nil || !strings.Contains(err.Error(), "impersonate") {
		t.Errorf("a developer may not act as others: %v", err)
	}
	for args, want := range map[string]string{
		"--namespace closed": "you may not read Repositories in namespace closed; ask for the verbs get and list",
		"-A":                 "you may not read Repositories in all namespaces; ask for the verbs get and list, or name one namespace",
	} {
		_, _, err := command(t, stack.Admin, append([]string{"list", "--as", "nobody"}, strings.Fields(args)...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
