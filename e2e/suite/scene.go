package suite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// Scene is one queue: a Repository in a namespace of its own, with a Git repository of its own.
type Scene struct {
	Key    queue.Key
	Git    provider.Repository
	Kube   kubernetes.Interface
	Tekton tektonclient.Interface
	PAC    pacclient.Interface
	// Tolerated says which Warning events do not fail the scene.
	Tolerated Warnings

	env    *Env
	pushes []string // commits
}

// Open creates a scene on the first provider, with the given limit; zero means no limit.
func (e *Env) Open(ctx context.Context, name string, limit int) (*Scene, error) {
	return e.OpenOn(ctx, e.Providers[0], name, limit)
}

// OpenOn creates a scene on a provider.
func (e *Env) OpenOn(ctx context.Context, on provider.Provider, name string, limit int) (*Scene, error) {
	name += "-" + rand.String(5) // the cluster may still have the namespace of an earlier scene
	s := &Scene{Key: queue.Key{Namespace: name, Repository: name}, Tolerated: e.Tolerated, env: e}
	if e.session != nil {
		e.session.scenes = append(e.session.scenes, s)
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	var err error
	if s.Git, err = on.NewRepository(ctx, name); err != nil {
		return nil, err
	}
	if err := s.createNamespace(ctx); err != nil {
		return nil, err
	}
	return s, s.createRepository(ctx, limit)
}

// Beside opens a further queue for the Git repository of this scene: another Repository, in another
// namespace. PAC gives an event to the Repository of its URL that was created first. Times of
// creation have whole seconds, so Beside waits for the next one.
func (s *Scene) Beside(ctx context.Context, name string, limit int) (*Scene, error) {
	name += "-" + rand.String(5)
	other := *s
	other.Key, other.pushes = queue.Key{Namespace: name, Repository: name}, nil
	if s.env.session != nil {
		s.env.session.scenes = append(s.env.session.scenes, &other)
	}
	older, err := s.PAC.PipelinesascodeV1alpha1().Repositories(s.Key.Namespace).Get(ctx, s.Key.Repository, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if err := other.createNamespace(ctx); err != nil {
		return nil, err
	}
	if err := Eventually(ctx, "the second in which "+s.Key.String()+" was created to pass", StepDeadline, func() error {
		if next := older.CreationTimestamp.Add(time.Second); time.Now().Before(next) {
			return fmt.Errorf("it is not %s yet", next)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return &other, other.createRepository(ctx, limit)
}

func (s *Scene) connect() (err error) {
	config := s.env.Cluster.Config()
	if s.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if s.Tekton, err = tektonclient.NewForConfig(config); err != nil {
		return err
	}
	s.PAC, err = pacclient.NewForConfig(config)
	return err
}

// createNamespace creates the namespace and waits until Tekton can run pods in it.
func (s *Scene) createNamespace(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Key.Namespace}}
	if _, err := s.Kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return err
	}
	return Eventually(ctx, "the default ServiceAccount of "+s.Key.Namespace, StepDeadline, func() error {
		_, err := s.Kube.CoreV1().ServiceAccounts(s.Key.Namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func (s *Scene) createRepository(ctx context.Context, limit int) error {
	var concurrencyLimit *int
	if limit > 0 {
		concurrencyLimit = &limit
	}
	secret, repository := s.Git.Access().Repository(s.Key.Repository, concurrencyLimit)
	if _, err := s.Kube.CoreV1().Secrets(s.Key.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := s.PAC.PipelinesascodeV1alpha1().Repositories(s.Key.Namespace).Create(ctx, repository, metav1.CreateOptions{})
	return err
}

// deleteGit deletes the Git repository.
func (s *Scene) deleteGit(ctx context.Context) error {
	if s.Git == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deleteDeadline)
	defer cancel()
	return s.Git.Delete(ctx)
}

// deleteNamespace starts the deletion of the namespace and does not wait for its end.
func (s *Scene) deleteNamespace(ctx context.Context) error {
	err := s.Kube.CoreV1().Namespaces().Delete(ctx, s.Key.Namespace, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// SetLimit changes the limit; zero removes it.
func (s *Scene) SetLimit(ctx context.Context, limit int) error {
	value := "null"
	if limit > 0 {
		value = fmt.Sprint(limit)
	}
	patch := fmt.Appendf(nil, `{"spec":{"concurrency_limit":%s}}`, value)
	_, err := s.PAC.PipelinesascodeV1alpha1().Repositories(s.Key.Namespace).
		Patch(ctx, s.Key.Repository, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// Push pushes n runs in one commit, run-01, run-02 and so on, each of which takes the given time.
func (s *Scene) Push(ctx context.Context, n int, each time.Duration) error {
	return s.PushFiles(ctx, s.Files(n, each))
}

// Files returns the files that Push pushes.
func (s *Scene) Files(n int, each time.Duration) map[string]string {
	files := map[string]string{}
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("run-%02d", i)
		files[".tekton/"+name+".yaml"] = s.env.Cluster.RunFile(name, each)
	}
	return files
}

// PushFiles pushes files in one commit.
func (s *Scene) PushFiles(ctx context.Context, files map[string]string) error {
	sha, err := s.Git.Push(ctx, files, fmt.Sprintf("push %d", len(s.pushes)+1))
	if err != nil {
		return err
	}
	s.pushes = append(s.pushes, sha)
	return nil
}

// View returns the queue as it is now.
func (s *Scene) View() history.View { return s.env.Recorder.View(s.Key) }

// Wait waits until the condition holds for the queue. The error names what it waited for.
func (s *Scene) Wait(
	ctx context.Context, what string, within time.Duration, condition func(history.View) bool,
) (history.View, error) {
	return s.env.Recorder.Await(ctx, s.Key, what, within, condition)
}

// Queued waits until n runs exist and PAC has given all those that wait an order.
func (s *Scene) Queued(ctx context.Context, n int) (history.View, error) {
	return s.Wait(ctx, fmt.Sprintf("%d runs with an order", n), QueuedDeadline, func(v history.View) bool { return v.Ordered(n) })
}

// Started waits until n runs are started and not done.
func (s *Scene) Started(ctx context.Context, n int) (history.View, error) {
	return s.Wait(ctx, fmt.Sprintf("%d started runs", n), QueuedDeadline, func(v history.View) bool {
		return len(v.In(queue.Started)) == n
	})
}

// Done waits until n runs are done, and fails at once when the queue is stuck.
func (s *Scene) Done(ctx context.Context, n int) (history.View, error) {
	what := fmt.Sprintf("%d finished runs", n)
	ctx, cancel := context.WithTimeoutCause(ctx, DrainDeadline, fmt.Errorf("%s: waited %s for %s", s.Key, DrainDeadline, what))
	defer cancel()
	changed := time.Now() // the queue gets the full time from here on
	for {
		v, err := s.Wait(ctx, what, stuckAfter-time.Since(changed), func(v history.View) bool {
			return len(v.In(queue.Done)) >= n
		})
		if err == nil || ctx.Err() != nil {
			return v, err
		}
		now := time.Now()
		switch {
		case v.Changed.After(changed):
			changed = v.Changed
		case couldStart(v, now):
			return v, s.broken(true)
		default:
			changed = now
		}
	}
}

// Event waits for an event with the given reason in the scene's namespace.
func (s *Scene) Event(ctx context.Context, reason string) (*corev1.Event, error) {
	var found *corev1.Event
	err := Eventually(ctx, "an event "+reason, StepDeadline, func() error {
		events, err := s.Kube.CoreV1().Events(s.Key.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		reasons := map[string]int{}
		for i, e := range events.Items {
			reasons[e.Reason]++
			if e.Reason == reason {
				found = &events.Items[i]
				return nil
			}
		}
		return fmt.Errorf("the events have only the reasons %v", slices.Sorted(maps.Keys(reasons)))
	})
	return found, err
}

// Eventually polls until check succeeds. The error names what it waited for and the last failure.
func Eventually(ctx context.Context, what string, within time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("waited %s for %s", within, what))
	defer cancel()
	return await.Until(ctx, pollPause, check)
}

// pollPause is between the attempts of Eventually.
const pollPause = 200 * time.Millisecond

// Explain describes the queue for the log of a failed test.
func (s *Scene) Explain() string {
	v := s.View()
	var text strings.Builder
	fmt.Fprintf(&text, "queue %s, limit %d", s.Key, v.Limit)
	for _, slot := range v.Slots {
		fmt.Fprintf(&text, "\n  slot %d: %+v", slot.Index, slot.Holder)
	}
	for _, r := range v.Runs {
		fmt.Fprintf(&text, "\n  run %s: %s version %s ordered %t attempt %d claim %v",
			r.Name, r.Phase, r.Version, r.Sequence() != nil, r.Attempt, r.Claim)
	}
	return text.String()
}
