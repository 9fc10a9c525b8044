package stack_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const (
	// startDeadline includes building every component on a machine that has none.
	startDeadline = 45 * time.Minute
	runsDeadline  = 2 * time.Minute
	goneDeadline  = 10 * time.Second

	// childVariable gives the test binary another role: the program that
	// TestKilledProgramLeavesNothing kills, or the add-on.
	childVariable = "STACK_TEST_CHILD"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case addonStandIn:
		if err := beAddon(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		beChild()
	}
}

// start starts a stack that ends with the test. The logs of a failed test stay.
func start(t *testing.T, opts stack.Options) *stack.Stack {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real components")
	}
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	s, err := stack.Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.KeepDir()
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// One push to Gitea becomes three PipelineRuns. PAC's own queue runs them one at a time and reports
// their results to Gitea. A second stack at the same time changes nothing, and neither stack leaves
// anything behind.
func TestPushRunsThroughEverything(t *testing.T) {
	began := time.Now()
	s := start(t, stack.Options{Components: stack.Everything, RunTime: 500 * time.Millisecond})
	t.Logf("everything started in %s", time.Since(began).Round(100*time.Millisecond))
	second := start(t, stack.Options{})
	if a, b := s.APIServerURL(), second.APIServerURL(); a == b {
		t.Fatalf("both API servers are at %s", a)
	}
	if _, err := second.Kubernetes().CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{}); err != nil {
		t.Errorf("second stack: %v", err)
	}

	const namespace, runs = "push", 3
	ctx, cancel := context.WithTimeout(t.Context(), runsDeadline)
	defer cancel()
	git, err := s.Gitea().NewRepository(ctx, "push")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewPACRepository(ctx, namespace, "push", git, new(1)); err != nil {
		t.Fatal(err)
	}
	files := stack.RunFiles(runs, 300*time.Millisecond)
	files["README.md"] = "replaces the first README\n"
	sha, err := git.Push(ctx, files, "three runs")
	if err != nil {
		t.Fatal(err)
	}
	client, err := tekton.NewForConfig(s.Config(stack.Admin))
	if err != nil {
		t.Fatal(err)
	}
	for {
		list, err := client.TektonV1().PipelineRuns(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		statuses, err := git.Statuses(ctx, sha)
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) > runs {
			t.Fatalf("one push made %d runs, want %d", len(list.Items), runs)
		}
		if succeeded(list.Items) == runs && successes(statuses) == runs {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %s: %d of %d runs succeeded, %d of %d statuses are success: %s", runsDeadline,
				succeeded(list.Items), runs, successes(statuses), runs, describe(statuses))
		case <-time.After(200 * time.Millisecond):
		}
	}

	failing := createRun(t, s, namespace, map[string]string{stack.AnnotationFail: "true", stack.AnnotationDelay: "100ms"})
	if c := waitDone(t, s, failing).Status.GetCondition("Succeeded"); !c.IsFalse() {
		t.Errorf("the failing run ended as %s: %s", c.Reason, c.Message)
	}

	// The control plane survives kills and restarts.
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := s.Process(name).Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Process(name).Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	late := createRun(t, s, namespace, nil)
	if c := waitDone(t, s, late).Status.GetCondition("Succeeded"); !c.IsTrue() {
		t.Errorf("a run after the API server's restart ended as %s: %s", c.Reason, c.Message)
	}

	pids := append(groups(s), groups(second)...)
	for _, s := range []*stack.Stack{s, second} {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
			t.Errorf("folder %s still exists (%v)", s.Dir(), err)
		}
	}
	wantGone(t, pids)
}

// createRun creates a PipelineRun as the developer.
func createRun(t *testing.T, s *stack.Stack, namespace string, annotations map[string]string) *tektonv1.PipelineRun {
	t.Helper()
	client, err := tekton.NewForConfig(s.Config(stack.Developer))
	if err != nil {
		t.Fatal(err)
	}
	run, err := client.TektonV1().PipelineRuns(namespace).Create(t.Context(), &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "by-hand-", Annotations: annotations},
		Spec: tektonv1.PipelineRunSpec{PipelineSpec: &tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{{
			Name: "task",
			TaskSpec: &tektonv1.EmbeddedTask{TaskSpec: tektonv1.TaskSpec{
				Steps: []tektonv1.Step{{Name: "step", Image: "busybox", Command: []string{"true"}}},
			}},
		}}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// waitDone waits until a run is done.
func waitDone(t *testing.T, s *stack.Stack, run *tektonv1.PipelineRun) *tektonv1.PipelineRun {
	t.Helper()
	client, err := tekton.NewForConfig(s.Config(stack.Admin))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(runsDeadline); ; time.Sleep(100 * time.Millisecond) {
		got, err := client.TektonV1().PipelineRuns(run.Namespace).Get(t.Context(), run.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.IsDone() {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not done after %s: %v", run.Name, runsDeadline, got.Status.Conditions)
		}
	}
}

func succeeded(runs []tektonv1.PipelineRun) (n int) {
	for _, run := range runs {
		if c := run.Status.GetCondition("Succeeded"); c.IsTrue() {
			n++
		}
	}
	return n
}

func successes(statuses []provider.Status) (n int) {
	for _, status := range statuses {
		if status.State == provider.Success {
			n++
		}
	}
	return n
}

func describe(statuses []provider.Status) string {
	var s []string
	for _, status := range statuses {
		s = append(s, fmt.Sprintf("%s: %s", status.Context, status.State))
	}
	return strings.Join(s, ", ")
}

// The stack of a killed program ends with the program.
func TestKilledProgramLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real components")
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux kills the children of a killed program")
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if killed := child.Process.Kill(); killed != nil {
		t.Fatal(killed)
	}
	_ = child.Wait() // its error is the signal
	if err != nil {
		t.Fatalf("the child started no stack: %v", err)
	}
	fields := strings.Fields(line)
	t.Cleanup(func() { _ = os.RemoveAll(fields[0]) })
	var pids []int
	for _, field := range fields[1:] {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 2 {
		t.Fatalf("the child ran %d processes, want etcd and kube-apiserver", len(pids))
	}
	wantGone(t, pids)
}

// beChild starts a stack, prints its folder and process groups, and waits to be killed.
func beChild() {
	s, err := stack.Start(context.Background(), stack.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.Dir(), strings.Trim(fmt.Sprint(groups(s)), "[]"))
	select {}
}

// groups returns the process groups of a stack.
func groups(s *stack.Stack) (pids []int) {
	for _, p := range s.Processes() {
		if pid := p.Pid(); pid != 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// wantGone fails the test if a member of one of the process groups stays alive.
func wantGone(t *testing.T, groups []int) {
	t.Helper()
	deadline := time.Now().Add(goneDeadline)
	for _, group := range groups {
		for alive(t, group) {
			if time.Now().After(deadline) {
				t.Errorf("process group %d is still alive after %s", group, goneDeadline)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// alive says whether a process group has a living member. With /proc, dead members that their
// parent has not reaped do not count.
func alive(t *testing.T, group int) bool {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return syscall.Kill(-group, 0) == nil
	}
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 2 && f[2] == strconv.Itoa(group) && f[0] != "Z" {
			return true
		}
	}
	return false
}
