package stack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
)

// A pod that cannot be bound keeps no other pod waiting, and is bound as soon as it can be.
func TestBinderTriesAgain(t *testing.T) {
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}}
	}
	client := fake.NewClientset(pod("a"), pod("b"))
	var (
		mu       sync.Mutex
		bound    = map[string]bool{}
		refused  string // the first pod that comes
		refusals int
	)
	client.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "binding" {
			return false, nil, nil
		}
		mu.Lock()
		defer mu.Unlock()
		binding := action.(clienttesting.CreateAction).GetObject().(*corev1.Binding)
		if refused == "" {
			refused = binding.Name
		}
		if binding.Name == refused && refusals < 3 {
			if refusals++; refusals == 2 && len(bound) != 1 {
				t.Error("the other pod waits for the one that is refused")
			}
			return true, nil, errors.New("refused by the test")
		}
		if binding.Target.Name != nodeName {
			t.Errorf("pod %s is bound to %q, want %q", binding.Name, binding.Target.Name, nodeName)
		}
		bound[binding.Name] = true
		return true, nil, nil
	})
	log, err := os.Create(filepath.Join(t.TempDir(), "binder.log"))
	if err != nil {
		t.Fatal(err)
	}
	b := startBinder(client, log)
	t.Cleanup(b.stop)
	wait := func(what string, done func() bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := await.Until(ctx, 10*time.Millisecond, func() error {
			if !done() {
				return errors.New(what)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	isBound := func(names ...string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				if !bound[name] {
					return false
				}
			}
			return true
		}
	}
	wait("a pod is not bound", isBound("a", "b"))
	wait("the binder does not watch", func() bool {
		for _, action := range client.Actions() {
			if action.GetVerb() == "watch" {
				return true
			}
		}
		return false
	})
	if _, err := client.CoreV1().Pods("team").Create(t.Context(), pod("late"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait("the late pod is not bound", isBound("late"))
}
