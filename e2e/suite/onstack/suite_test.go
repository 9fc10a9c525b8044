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

// These scenarios of the list have a test of their own, which checks more where only the embedded
// stack can.

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
		t.Errorf("%s was replaced, want the change to take effect in the running replica", stays.Name())
	}
}

func TestUninstallHandsBack(t *testing.T) {
	play(t, "uninstall")
	if out, err := cluster.Addon().Test(t.Context()); err != nil {
		t.Errorf("helm test after the new installation: %v\n%s", err, out)
	}
}

func TestNegativeControl(t *testing.T) { play(t, suite.NegativeControl().Name) }

// TestSuite plays the whole list and the negative control. It does not repeat a scenario that a
// test of its own has just played.
func TestSuite(t *testing.T) {
	for _, s := range list() {
		t.Run(s.Name, func(t *testing.T) {
			defer delete(played, s.Name)
			outcome, ok := played[s.Name]
			if !ok {
				play(t, s.Name)
			} else if outcome != nil {
				t.Error("failed in a test of its own, see above")
			}
		})
	}
}

func list() []suite.Scenario { return append(suite.Scenarios(), suite.NegativeControl()) }

// played has the outcomes of the scenarios that TestSuite need not repeat.
var played = map[string]error{}

func play(t *testing.T, name string) {
	t.Helper()
	all := list()
	i := slices.IndexFunc(all, func(s suite.Scenario) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("the list has no scenario %s", name)
	}
	played[name] = environment(t).Play(t.Context(), all[i])
	if played[name] != nil {
		t.Fatal(played[name])
	}
}

// The artifacts of a failed scenario are collected, without any Secret's data.
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
		t.Fatalf("Play returned %v, want the scenario's error", err)
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
			t.Errorf("%s is missing or empty: %v", file, err)
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
					t.Errorf("%s contains %s of Secret %s/%s", path, key, secret.Namespace, secret.Name)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
