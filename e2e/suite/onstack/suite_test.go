package onstack_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// Items of the suite's list that have a name here, and what is asked on top of them
// where only processes can answer.

func TestLimitHolds(t *testing.T) {
	for _, name := range []string{"limit_1_replica", "limit_2_replicas", "limit_3_replicas"} {
		t.Run(name, func(t *testing.T) { play(t, name) })
	}
}

func TestOrderWithinAndAcrossEvents(t *testing.T) { play(t, "order") }

func TestBackendToggledWhileQueued(t *testing.T) {
	replicas(t, 2)
	stays := cluster.Addon().Replicas()[0]
	play(t, "backend_toggled")
	if cluster.Addon().Replicas()[0] != stays {
		t.Errorf("%s was replaced: the change is to take effect in the running one", stays.Name())
	}
}

func TestUninstallHandsBack(t *testing.T) {
	play(t, "uninstall")
	if out, err := cluster.Addon().Test(t.Context()); err != nil {
		t.Errorf("helm test of what was installed anew: %v\n%s", err, out)
	}
}

func TestNegativeControl(t *testing.T) { play(t, suite.NegativeControl().Name) }

// TestSuite plays the whole list, as any cluster can, and the negative control.
// What has just been played under a name of its own is not played again.
func TestSuite(t *testing.T) {
	for _, s := range list() {
		t.Run(s.Name, func(t *testing.T) {
			defer delete(played, s.Name)
			outcome, ok := played[s.Name]
			if !ok {
				play(t, s.Name)
			} else if outcome != nil {
				t.Error("it failed, see above")
			}
		})
	}
}

func list() []suite.Scenario { return append(suite.Scenarios(), suite.NegativeControl()) }

// played has the outcomes of scenarios since TestSuite was last here.
var played = map[string]error{}

func play(t *testing.T, name string) {
	t.Helper()
	all := list()
	i := slices.IndexFunc(all, func(s suite.Scenario) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("the list has no %s", name)
	}
	played[name] = environment(t).Play(t.Context(), all[i])
	if played[name] != nil {
		t.Fatal(played[name])
	}
}

// What there is to see of a failure is collected, and nothing secret with it.
func TestFailureIsCollected(t *testing.T) {
	e, dir := environment(t), t.TempDir()
	e.Artifacts = dir
	failure := errors.New("on purpose")
	var namespace string
	err := e.Play(t.Context(), suite.Scenario{Name: "doomed", Replicas: 2, Run: func(ctx context.Context, e *suite.Env) error {
		s, err := e.Open(ctx, "doomed", 1)
		if err != nil {
			return err
		}
		namespace = s.Key.Namespace
		if err := s.Push(ctx, 2, 2*time.Second); err != nil {
			return err
		}
		_, err = s.Started(ctx, 1)
		return errors.Join(err, failure)
	}})
	if !errors.Is(err, failure) {
		t.Fatalf("Play returned %v, want what the scenario did", err)
	}
	for _, file := range []string{
		namespace + ".history",
		namespace + "/events.txt",
		namespace + "/leases.yaml",
		namespace + "/pipelineruns.yaml",
		namespace + "/pods.yaml",
		namespace + "/repositories.yaml",
		"pac-lease-queue/configmaps.yaml",
		"pac-lease-queue/deployments.yaml",
		"pac-lease-queue/leases.yaml",
		"cluster/nodes.yaml",
	} {
		if info, err := os.Stat(filepath.Join(dir, "doomed", file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, want something in it", file, err)
		}
	}
	secrets, err := cluster.Kubernetes().CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range secrets.Items {
			for key, value := range secret.Data {
				if len(value) > 0 && strings.Contains(string(text), string(value)) {
					t.Errorf("%s has %s of the Secret %s/%s in it", path, key, secret.Namespace, secret.Name)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
