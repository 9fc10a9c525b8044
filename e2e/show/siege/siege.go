package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/upstream"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/cgroup"
)

const (
	// warmUp is before the idle stack is measured, idleTime how long that takes beside attacks of
	// the usual length.
	warmUp   = 2 * time.Second
	idleTime = 10 * time.Second
	// usualPhase is how long an attack goes on for which the tenants build up all that they can. A
	// shorter one gets less of everything.
	usualPhase = 12 * time.Second
	// buildDeadline bounds the time in which the tenants build up what their attack needs, with
	// buildHands requests at a time. In a short siege it takes no more than twice an attack. It
	// does not count as one: the API server is busy then.
	buildDeadline = 45 * time.Second
	buildHands    = 12
	// wholeDeadline is the same for attacks that have no effect until all of it is there.
	wholeDeadline = 2 * time.Minute
	// leastStarts is how many new queues an assault of the usual length takes to be judged. It goes
	// on for that, but not for more than mostLonger times as long.
	leastStarts = 10
	mostLonger  = 4
	// restPart is the part of a phase in which the tenants rest, and what they have made stays.
	restPart = 0.3
	// settleTime is how long a rest goes on at least before it is measured, and settleDeadline how
	// long it waits until no more than restRuns runs of a tenant are under way: those of hundreds
	// of queues start and end after the attack, and each of them is decided about.
	settleTime     = hostileTime + time.Second
	settleDeadline = 20 * time.Second
	restRuns       = 3
	// drainDeadline is how long the honest runs that are left at the end may take.
	drainDeadline = 2 * time.Minute
	// lag is how far behind a replica may be before an overtaking is its fault: on a busy machine
	// watch events of different kinds are seconds apart.
	lag = 10 * time.Second

	// runTime is how long an honest run takes, hostileTime how long one of a tenant: long enough
	// for two that were started by hand to overlap, however slow the machine.
	runTime     = 200 * time.Millisecond
	hostileTime = 2 * time.Second
	// players is how many runs of a namespace Tekton and PAC attend to at a time.
	players = 4

	// tenants is how many namespaces are hostile, manyTenants how many are in a wide attack: more
	// than a replica has workers.
	tenants      = 3
	manyTenants  = 20
	residentName = "shop"
)

// assaultHands is how many requests the tenants make at a time during an attack. Clusters bound
// that by priority and fairness, and have more than two cores for the API server, which is not what
// is besieged.
func assaultHands() int { return max(1, runtime.NumCPU()/2) }

func residentNamespace(i int) string { return fmt.Sprintf("honest-%d", i) }

// siege is one performance.
type siege struct {
	*show.Stage
	config config
	addon  *stack.Addon

	admin, tekton, pac fixture.Clients
	metadata           metadata.Interface
	etcd               *clientv3.Client

	tenants    []*tenant
	residents  []*resident
	newcomers  []*newcomers
	floor      *floor
	containers *containers
	visitor    *visitor
	limits     *limits
	recorders  []*history.Recorder
}

func (s *siege) play(ctx context.Context) (result show.Result, err error) {
	defer func() {
		for _, r := range s.recorders {
			r.Stop()
		}
	}()
	if err := s.prepare(ctx); err != nil {
		return result, err
	}
	defer s.etcd.Close()
	r, err := s.besiege(ctx)
	if err != nil {
		return result, err
	}
	if err := s.judge(&r); err != nil {
		return result, err
	}
	broken := len(r.broken()) > 0
	if broken {
		s.KeepDir()
	}
	if broken || s.Keep {
		err = s.writeRecords()
	}
	access := "  API server  export KUBECONFIG=" + s.Kubeconfig(stack.Admin) + "\n  logs        " + s.LogsDir()
	return show.Result{OK: !broken, Report: r.text(), Access: access}, err
}

// prepare installs the add-on, and creates the namespaces, the honest queues and the tenants.
func (s *siege) prepare(ctx context.Context) (err error) {
	for clients, user := range map[*fixture.Clients]stack.User{
		&s.admin: stack.Admin, &s.tekton: stack.TektonControllerUser, &s.pac: stack.PACWatcherUser,
	} {
		if *clients, err = fixture.NewClients(s.Config(user)); err != nil {
			return err
		}
	}
	controller, err := fixture.NewClients(s.Config(stack.PACControllerUser))
	if err != nil {
		return err
	}
	if s.metadata, err = metadata.NewForConfig(s.Config(stack.Admin)); err != nil {
		return err
	}
	if s.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{s.EtcdURL()}, Logger: zap.NewNop()}); err != nil {
		return err
	}
	s.Say("installing the add-on with helm, %s", show.Count(s.config.Replicas, "replica"))
	uncontained := cgroup.Try()
	s.addon, err = s.InstallAddon(ctx, stack.AddonOptions{
		Replicas: s.config.Replicas, Values: s.values(), Contained: uncontained == nil,
	})
	if err != nil {
		return err
	}
	if s.containers, err = newContainers(ctx, s.Stage.Stack, s.addon, uncontained, s.Say); err != nil {
		return err
	}
	s.visitor = &visitor{board: s.addon.Board()}
	s.limits = newLimits()
	for i, limit := range []int{1, 2} {
		key := queue.Key{Namespace: residentNamespace(i), Repository: residentName}
		recorder, upstream, err := s.honest(ctx, key.Namespace)
		if err != nil {
			return err
		}
		if err := s.admin.CreateRepository(ctx, key, &limit); err != nil {
			return err
		}
		s.residents = append(s.residents, &resident{key: key, clients: controller, admin: s.admin, upstream: upstream, recorder: recorder})
	}
	for i := range 2 {
		namespace := fmt.Sprintf("newcomers-%d", i)
		recorder, upstream, err := s.honest(ctx, namespace)
		if err != nil {
			return err
		}
		s.newcomers = append(s.newcomers, &newcomers{
			namespace: namespace, clients: controller, admin: s.admin, upstream: upstream, recorder: recorder,
		})
	}
	s.floor = &floor{namespace: "floor", clients: s.admin}
	if err := s.NewNamespace(ctx, s.floor.namespace); err != nil {
		return err
	}
	hostile := tenants
	if slices.ContainsFunc(s.config.plan(), func(p phase) bool { return p.wide }) {
		hostile = manyTenants
	}
	for i := range hostile {
		tenant, err := newTenant(ctx, s.Stage.Stack, fmt.Sprintf("hostile-%d", i))
		if err != nil {
			return err
		}
		tenant.first = i == 0
		tenant.upstream = s.upstream(tenant.namespace, hostileTime, s.limits.observe)
		s.tenants = append(s.tenants, tenant)
	}
	return nil
}

// honest creates a namespace for honest queues, and records it.
func (s *siege) honest(ctx context.Context, namespace string) (*history.Recorder, *upstream.Upstream, error) {
	if err := s.NewNamespace(ctx, namespace); err != nil {
		return nil, nil, err
	}
	recorder, err := history.RecordEtcd(ctx, s.EtcdURL(), namespace)
	if err != nil {
		return nil, nil, err
	}
	recorder.Lag = lag
	s.recorders = append(s.recorders, recorder)
	return recorder, s.upstream(namespace, runTime, nil), nil
}

// upstream plays Tekton and PAC in a namespace.
func (s *siege) upstream(namespace string, runTime time.Duration, observe func(*tektonv1.PipelineRun, bool)) *upstream.Upstream {
	return upstream.New(upstream.Config{
		Namespace: namespace, RunTime: runTime, Players: players, Tekton: s.tekton, PAC: &s.pac, Observe: observe,
	})
}

// values returns those of the chart at the start.
func (s *siege) values() []string {
	values := append(s.guard(s.config.plan()[0].guarded), "board.enabled=true")
	if s.config.Memory != "" {
		values = append(values, "resources.limits.memory="+s.config.Memory)
	}
	return values
}

// guard returns the values of the chart with the guard or without.
func (s *siege) guard(on bool) []string {
	return []string{fmt.Sprintf("admission.guard.enabled=%t", on)}
}

// besiege has everything happen, and returns what was measured.
func (s *siege) besiege(ctx context.Context) (r report, err error) {
	r = report{Config: s.config, Settings: s.Settings, Limit: s.containers.limit, Uncontained: s.containers.uncontained}
	living, leave := context.WithCancel(ctx)
	defer leave()
	world, living := errgroup.WithContext(living)
	pushing, stop := context.WithCancel(living)
	defer stop()
	var honest sync.WaitGroup
	live := func(who interface{ live(context.Context) error }, played *upstream.Upstream) {
		world.Go(func() error { return played.Play(living) })
		honest.Add(1)
		world.Go(func() error {
			defer honest.Done()
			return who.live(pushing)
		})
	}
	for _, who := range s.residents {
		live(who, who.upstream)
	}
	for _, who := range s.newcomers {
		live(who, who.upstream)
	}
	for _, t := range s.tenants {
		world.Go(func() error { return t.upstream.Play(living) })
	}
	world.Go(func() error { return s.floor.measure(living) })
	world.Go(func() error { return s.visitor.visit(living) })
	for _, replica := range s.addon.Replicas() {
		world.Go(func() error { return s.containers.watch(living, replica) })
	}

	err = s.phases(living, &r)
	stop()
	honest.Wait()
	if err == nil {
		s.Say("the attacks are over, the honest queues drain")
		err = s.drain(living)
	}
	leave()
	if stopped := world.Wait(); stopped != nil { // that ended all the rest
		err = stopped
	}
	r.Restarts = s.containers.ended()
	return r, err
}

// phases measures the idle stack and then goes through the plan.
func (s *siege) phases(ctx context.Context, r *report) error {
	plan := s.config.plan()
	each := s.config.Duration / time.Duration(len(plan))
	s.Say("everything is up; the idle stack is measured, and time is counted from here")
	s.ResetClock()
	if err := await.Pause(ctx, warmUp); err != nil {
		return err
	}
	r.Idle = s.measure(phase{attack: attack{name: "none"}, guarded: plan[0].guarded})
	if err := r.Idle.take(ctx, time.Duration(float64(idleTime)*scaleOf(each))); err != nil {
		return err
	}
	guarded := plan[0].guarded
	for i, p := range plan {
		if p.guarded != guarded {
			s.Say("the guard is taken away")
			s.limits.forget()
			if err := s.addon.Upgrade(ctx, s.guard(p.guarded)...); err != nil {
				return err
			}
			guarded = p.guarded
		}
		s.Say("%s: %s", p.name, p.does)
		m := s.measure(p)
		if err := s.attack(ctx, i, m, each); err != nil {
			return err
		}
		r.Phases = append(r.Phases, m)
		s.Say("  %s", m.line())
		if i+1 == len(plan) {
			break // what is left goes with the stack
		}
		if err := s.clear(ctx); err != nil {
			return err
		}
	}
	return nil
}

// scaleOf is how much of the usual there is in attacks of this length.
func scaleOf(takes time.Duration) float64 { return min(1, float64(takes)/float64(usualPhase)) }

// attack has the tenants build up what they need, attack for a while, and then rest amid what they
// have made.
func (s *siege) attack(ctx context.Context, index int, m *measured, takes time.Duration) (err error) {
	m.begin()
	var workers []*worker
	hostile := s.tenants
	if !m.wide {
		hostile = hostile[:tenants]
	}
	for i, t := range hostile {
		for j := range m.plots {
			workers = append(workers, &worker{
				tenant: t, board: s.addon.Board().PagesURL, phase: index, tally: &m.tally, made: map[schema.GroupVersionResource][]string{},
				scale:  scaleOf(takes) * 2 / float64(len(m.plots)),
				random: rand.New(rand.NewPCG(s.config.Seed, uint64(index<<16|i<<8|j))),
				prefix: fmt.Sprintf("%d-%d-%d", index, i, j),
				promise: func(repository string, limit int) {
					if m.guarded {
						s.limits.promise(queue.Key{Namespace: t.namespace, Repository: repository}, limit)
					}
				},
			})
		}
	}
	work := func(ctx context.Context, hands int, do func(plot) func(*worker)) {
		free := make(chan struct{}, hands)
		var all sync.WaitGroup
		for i, w := range workers {
			if do := do(m.plots[i%len(m.plots)]); do != nil {
				w.ctx, w.hands = ctx, free
				all.Go(func() { do(w) })
			}
		}
		all.Wait()
	}
	deadline := min(buildDeadline, 2*takes)
	if m.whole {
		deadline = wholeDeadline
	}
	building, built := context.WithTimeout(ctx, deadline)
	defer built()
	work(building, buildHands, func(p plot) func(*worker) { return p.build })
	m.assault = time.Now()
	decisions := s.containers.decisions(ctx)
	used := s.containers.cores()
	assault := time.Duration(float64(takes) * (1 - restPart))
	attacking, stop := context.WithTimeout(ctx, mostLonger*assault)
	defer stop()
	go s.enough(attacking, stop, m.assault.Add(assault), int64(leastStarts*scaleOf(takes)))
	work(attacking, assaultHands(), func(p plot) func(*worker) { return p.assault })
	<-attacking.Done() // all may have given up
	m.busy = used()
	_, deciding := decisions()
	rest := time.Duration(float64(takes) * restPart)
	if err := await.Pause(ctx, max(rest/3, settleTime)); err != nil {
		return err
	}
	s.settle(ctx, hostile)
	if err := m.takeRest(ctx, rest*2/3); err != nil {
		return err
	}
	m.deciding = max(m.deciding, deciding)
	m.end()
	if m.warns != "" && !m.guarded {
		m.warned, err = s.warned(ctx, hostile, m.warns)
	}
	return err
}

// warned reports whether a Warning event with the text is in the namespace of a tenant.
func (s *siege) warned(ctx context.Context, tenants []*tenant, text string) (bool, error) {
	for _, t := range tenants {
		o := metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning, Limit: 500}
		for {
			events, err := s.admin.Kube.CoreV1().Events(t.namespace).List(ctx, o)
			if err != nil {
				return false, err
			}
			if slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
				return strings.Contains(e.Message, text)
			}) {
				return true, nil
			}
			if o.Continue = events.Continue; o.Continue == "" {
				break
			}
		}
	}
	return false, nil
}

// enough stops an assault when its time has come and enough new queues have come and gone to judge
// by. On a busy machine that takes longer.
func (s *siege) enough(ctx context.Context, stop func(), earliest time.Time, least int64) {
	were := s.newQueues()
	for ctx.Err() == nil {
		if time.Now().After(earliest) && s.newQueues()-were >= least {
			stop()
		}
		_ = await.Pause(ctx, honestPoll)
	}
}

// settle waits until few runs of the tenants are under way, or that takes too long: the rest is
// then measured all the same.
func (s *siege) settle(ctx context.Context, tenants []*tenant) {
	ctx, cancel := context.WithTimeout(ctx, settleDeadline)
	defer cancel()
	busy := func(t *tenant) bool { return t.upstream.UnderWay() > restRuns }
	_ = await.Until(ctx, honestPoll, func() error {
		if slices.ContainsFunc(tenants, busy) {
			return errors.New("runs of the tenants are under way")
		}
		return nil
	})
}

// newQueues is how many new queues there have been so far.
func (s *siege) newQueues() (n int64) {
	for _, who := range s.newcomers {
		n += who.gone.Load()
	}
	return n
}

// drain waits until the honest runs are done. The audit reports those that are not.
func (s *siege) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainDeadline)
	defer cancel()
	for _, q := range s.honestQueues() {
		_ = q.recorder.Wait(ctx, q.key, func(v history.View) bool { return len(v.In(queue.Done)) == len(v.Runs) && v.Free() })
	}
	return nil
}

// honestQueue is a queue that is audited.
type honestQueue struct {
	key      queue.Key
	recorder *history.Recorder
}

func (s *siege) honestQueues() []honestQueue {
	var all []honestQueue
	for _, r := range s.residents {
		all = append(all, honestQueue{r.key, r.recorder})
	}
	for _, n := range s.newcomers {
		for _, key := range n.keys {
			all = append(all, honestQueue{key, n.recorder})
		}
	}
	return all
}

// writeRecords puts the record of every honest queue beside the logs.
func (s *siege) writeRecords() error {
	var problems []error
	for _, r := range s.residents {
		file := filepath.Join(s.LogsDir(), r.key.Namespace+".history")
		problems = append(problems, os.WriteFile(file, []byte(r.recorder.Text(r.key)), 0o644))
	}
	return errors.Join(problems...)
}
