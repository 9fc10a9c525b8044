package suite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// Scenarios returns the list.
func Scenarios() []Scenario {
	return []Scenario{
		{"limit_1_replica", 1, limitHolds},
		{"limit_2_replicas", 2, limitHolds},
		{"limit_3_replicas", 3, limitHolds},
		{"order", 2, orderHolds},
		{"limit_changed", 2, limitChanged},
		{"replica_killed", 2, replicaKilled},
		{"rolling_restart", 2, rollingRestart},
		{"node_drained", 2, nodeDrained},
		{"watchers_scaled", 2, watchersScaled},
		{"backend_toggled", 2, backendToggled},
		{"two_providers", 2, twoProviders},
		{"board", 2, boardFollows},
		AnyPipelineRun(),
		{"shared_queue", 2, sharedQueue},
		{"uninstall", 2, uninstall},
	}
}

// ScenariosInMemory returns the part of the list that a single replica with its slots in memory can
// pass.
func ScenariosInMemory() []Scenario {
	var some []Scenario
	for _, s := range Scenarios() {
		switch s.Name {
		case "limit_2_replicas", "limit_3_replicas": // need several replicas
		case "node_drained": // needs a replica on another node
		case "backend_toggled": // ends with slots in Leases
		default:
			s.Replicas = 1
			some = append(some, s)
		}
	}
	return some
}

// limitHolds is the heart of the list, and what the negative control judges: two queues at the same
// time use their limits and never exceed them. It needs nothing of the add-on.
func limitHolds(ctx context.Context, e *Env) error {
	const runs = 8
	limits := []int{1, 3}
	var scenes []*Scene
	for _, limit := range limits {
		s, err := e.Open(ctx, fmt.Sprintf("limit-%d", limit), limit)
		if err != nil {
			return err
		}
		scenes = append(scenes, s)
	}
	for _, s := range scenes {
		if err := s.Push(ctx, runs, time.Second); err != nil {
			return err
		}
	}
	for i, s := range scenes {
		report, err := s.Finished(ctx, runs)
		if err != nil {
			return err
		}
		if report.MostStarted != limits[i] {
			return fmt.Errorf("%s: at most %d runs were started at once, want %d, the limit", s.Key, report.MostStarted, limits[i])
		}
	}
	return nil
}

// orderHolds checks the order within a push and across pushes.
func orderHolds(ctx context.Context, e *Env) error {
	s, err := e.Open(ctx, "order", 1)
	if err != nil {
		return err
	}
	if err := s.Push(ctx, 4, time.Second); err != nil {
		return err
	}
	if _, err := s.Queued(ctx, 4); err != nil {
		return err
	}
	if err := s.Push(ctx, 3, time.Second); err != nil {
		return err
	}
	report, err := s.Finished(ctx, 7)
	if err != nil {
		return err
	}
	want := []string{"run-01", "run-02", "run-03", "run-04", "run-01", "run-02", "run-03"}
	if got := Definitions(report); !slices.Equal(got, want) {
		return fmt.Errorf("started in the order %v, want %v", got, want)
	}
	return nil
}

// limitChanged raises, lowers and removes the limit while runs wait.
func limitChanged(ctx context.Context, e *Env) error {
	const runs = 10
	s, err := e.loaded(ctx, "limit-changed", 1, runs, 3*time.Second)
	if err != nil {
		return err
	}
	if err := s.SetLimit(ctx, 3); err != nil {
		return err
	}
	if _, err := s.Started(ctx, 3); err != nil {
		return err
	}
	if err := s.SetLimit(ctx, 1); err != nil {
		return err
	}
	if _, err := s.Wait(ctx, "the slots above the lowered limit to go", StepDeadline, func(v history.View) bool {
		return len(v.Slots) == 1 && len(v.In(queue.Started)) <= 1
	}); err != nil {
		return err
	}
	if err := s.stillWaiting(); err != nil {
		return err
	}
	if err := s.SetLimit(ctx, 0); err != nil {
		return err
	}
	if _, err := s.Wait(ctx, "every run to start and the slots to go", StepDeadline, func(v history.View) bool {
		return len(v.In(queue.Pending)) == 0 && len(v.Slots) == 0
	}); err != nil {
		return err
	}
	_, err = s.Finished(ctx, runs)
	return err
}

// replicaKilled kills the leading replica in the middle of a queue.
func replicaKilled(ctx context.Context, e *Env) error {
	return e.disturbed(ctx, "replica-killed", func() error {
		replica, err := e.Cluster.Kill(ctx)
		e.Log("killed %s", replica)
		return err
	})
}

// rollingRestart replaces every replica in the middle of a queue.
func rollingRestart(ctx context.Context, e *Env) error {
	return e.disturbed(ctx, "rolling-restart", func() error { return e.Cluster.Restart(ctx) })
}

// nodeDrained drains the leading replica's node in the middle of a queue.
func nodeDrained(ctx context.Context, e *Env) error {
	return e.disturbed(ctx, "node-drained", func() error {
		restore, err := e.Cluster.Drain(ctx)
		if restore != nil {
			e.afterwards(restore)
		}
		return err
	})
}

// watchersScaled queues runs while PAC has no watcher, then starts two, which must report also the
// runs that ended before.
func watchersScaled(ctx context.Context, e *Env) error {
	e.afterwards(e.oneWatcher)
	if err := e.Cluster.Watchers(ctx, 0); err != nil {
		return err
	}
	s, err := e.Open(ctx, "watchers-scaled", 1)
	if err != nil {
		return err
	}
	if err := s.Push(ctx, 3, time.Second); err != nil {
		return err
	}
	if _, err := s.Wait(ctx, "3 runs", QueuedDeadline, func(v history.View) bool { return len(v.Runs) == 3 }); err != nil {
		return err
	}
	if err := e.Cluster.Watchers(ctx, 2); err != nil {
		return err
	}
	if err := s.Push(ctx, 3, time.Second); err != nil {
		return err
	}
	_, err = s.Finished(ctx, 6)
	return err
}

// oneWatcher restores the number of watchers that PAC is installed with.
func (e *Env) oneWatcher(ctx context.Context) error { return e.Cluster.Watchers(ctx, 1) }

// Chart values. The chart refuses the memory backend with more than one replica.
var (
	inMemory = []string{"concurrency.backend=memory", "replicaCount=1"}
	inLeases = []string{"concurrency.backend=lease", "replicaCount=2"}
)

// backendToggled switches from Leases to memory and back in the middle of a queue.
func backendToggled(ctx context.Context, e *Env) error {
	const limit, runs = 3, 30
	s, err := e.loaded(ctx, "backend-toggled", limit, runs, 3*time.Second)
	if err != nil {
		return err
	}
	e.afterwards(func(ctx context.Context) error { return e.Cluster.Upgrade(ctx, inLeases...) })
	if err := e.Cluster.Upgrade(ctx, inMemory...); err != nil {
		return err
	}
	v, err := s.Wait(ctx, "the Leases to go", StepDeadline, func(v history.View) bool { return len(v.Slots) == 0 })
	if err != nil {
		return err
	}
	if _, err := s.Done(ctx, len(v.In(queue.Done))+2*limit); err != nil {
		return err
	}
	if err := s.stillWaiting(); err != nil {
		return err
	}
	if err := e.Cluster.Upgrade(ctx, inLeases...); err != nil {
		return err
	}
	if _, err := s.Wait(ctx, "every slot to be a Lease again", StepDeadline, func(v history.View) bool {
		return len(v.Slots) == limit
	}); err != nil {
		return err
	}
	_, err = s.Finished(ctx, runs)
	return err
}

// twoProviders pairs the first provider with one of each other kind. The queues of a pair must not
// wait for each other.
func twoProviders(ctx context.Context, e *Env) error {
	first := e.Providers[0]
	for _, second := range partners(e.Providers) {
		e.Log("a Repository on %s and one on %s", first.Name(), second.Name())
		if err := e.neitherWaits(ctx, first, second); err != nil {
			return err
		}
	}
	return nil
}

// partners returns the partners of the first provider: one of each other kind. If all are of one
// kind, the partner is another account, or the provider itself if there is no other.
func partners(providers []provider.Provider) (others []provider.Provider) {
	kinds := []string{providers[0].Name()}
	for _, p := range providers {
		if !slices.Contains(kinds, p.Name()) {
			kinds, others = append(kinds, p.Name()), append(others, p)
		}
	}
	if len(others) == 0 {
		return providers[len(providers)-1:]
	}
	return others
}

// neitherWaits finishes a queue on the second provider while the queue on the first is busy.
func (e *Env) neitherWaits(ctx context.Context, first, second provider.Provider) error {
	busy, err := e.OpenOn(ctx, first, "busy", 1)
	if err != nil {
		return err
	}
	quiet, err := e.OpenOn(ctx, second, "quiet", 2)
	if err != nil {
		return err
	}
	files := busy.Files(3, time.Second)
	files[".tekton/run-01.yaml"] = e.Cluster.RunFile("run-01", 25*time.Second)
	if err := busy.PushFiles(ctx, files); err != nil {
		return err
	}
	if _, err := busy.Started(ctx, 1); err != nil {
		return err
	}
	if err := quiet.Push(ctx, 4, time.Second); err != nil {
		return err
	}
	if _, err := quiet.Done(ctx, 4); err != nil {
		return err
	}
	if waiting := len(busy.View().In(queue.Pending)); waiting != 2 {
		return fmt.Errorf("%s: %d runs wait behind the first after %s has finished, want 2", busy.Key, waiting, quiet.Key)
	}
	_, err = busy.Finished(ctx, 3)
	if err == nil {
		_, err = quiet.Finished(ctx, 4)
	}
	return err
}

// uninstall hands the waiting runs back to PAC, whose watcher finishes them, and leaves nothing
// behind. Until the last run is handed back, no user can start it.
func uninstall(ctx context.Context, e *Env) error {
	const runs = 5
	s, err := e.Open(ctx, "uninstall", 1)
	if err != nil {
		return err
	}
	files := s.Files(runs, 3*time.Second)
	// The first run outlasts even a slow hand-back, so that PAC starts all others.
	maps.Copy(files, s.Files(1, 15*time.Second))
	if err := s.load(ctx, files, 1); err != nil {
		return err
	}
	s.Tolerated = OthersWarnings
	e.afterwards(func(ctx context.Context) error { return e.Cluster.Upgrade(ctx) })
	waiting := s.View().In(queue.Pending)
	stop := s.startByHand(ctx, waiting[len(waiting)-1].Name)
	if err := errors.Join(e.Cluster.Uninstall(ctx), stop()); err != nil {
		return err
	}
	if err := Eventually(ctx, "everything of the add-on to go", StepDeadline, func() error {
		return nothingLeft(ctx, e.Cluster.Config())
	}); err != nil {
		return err
	}
	if _, err := s.Finished(ctx, runs); err != nil {
		return err
	}
	// Those that the add-on started have its claim.
	if !slices.ContainsFunc(s.View().Runs, func(run queue.Run) bool { return run.Claim == nil }) {
		return errors.New("PAC started no run: the add-on had started all of them before the hand-back")
	}
	return nil
}

// startByHand keeps asking the API server to start a run, without having it done, until stop is
// called. stop returns an error if that was allowed while the run was held, or never refused.
func (s *Scene) startByHand(ctx context.Context, name string) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	runs, result := s.Tekton.TektonV1().PipelineRuns(s.Key.Namespace), make(chan error, 1)
	go func() {
		refusals := 0
		for ; ctx.Err() == nil; time.Sleep(pollPause) {
			_, err := runs.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"status":null}}`),
				metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			if apierrors.IsForbidden(err) {
				refusals++
			}
			if err == nil {
				pr, err := runs.Get(ctx, name, metav1.GetOptions{})
				if err == nil && pr.IsPending() && ptr.To(pac.ReadRun(pr)).Held() {
					result <- fmt.Errorf("after %d refusals a user may start %s, which is still held", refusals, name)
					return
				}
			}
		}
		if refusals == 0 {
			result <- fmt.Errorf("no start of %s by hand was refused", name)
			return
		}
		result <- nil
	}()
	return func() error {
		cancel()
		return <-result
	}
}

// loaded opens a scene and loads it with runs.
func (e *Env) loaded(ctx context.Context, name string, limit, runs int, each time.Duration) (*Scene, error) {
	s, err := e.Open(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	return s, s.load(ctx, s.Files(runs, each), limit)
}

// load pushes runs and waits until as many are started as the limit allows and the others wait in
// order.
func (s *Scene) load(ctx context.Context, files map[string]string, limit int) error {
	if err := s.PushFiles(ctx, files); err != nil {
		return err
	}
	if _, err := s.Queued(ctx, len(files)); err != nil {
		return err
	}
	_, err := s.Started(ctx, limit)
	return err
}

// disturbed calls disturb in the middle of a queue, which must finish nevertheless.
func (e *Env) disturbed(ctx context.Context, name string, disturb func() error) error {
	const runs = 10
	s, err := e.loaded(ctx, name, 2, runs, 2*time.Second)
	if err != nil {
		return err
	}
	if _, err := s.Done(ctx, 2); err != nil {
		return err
	}
	if err := s.stillWaiting(); err != nil {
		return err
	}
	if err := disturb(); err != nil {
		return err
	}
	_, err = s.Finished(ctx, runs)
	return err
}

// stillWaiting returns an error if no run waits any more: the scenario's next step would prove
// nothing.
func (s *Scene) stillWaiting() error {
	if len(s.View().In(queue.Pending)) == 0 {
		return errors.New("no run waits any more: the scenario was too slow")
	}
	return nil
}
