package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/cgroup"
)

// The contenders.
const (
	floorName = "floor"
	leaseName = "lease" // this product
	pacName   = "pac"   // PAC's own queue
	kueueName = "kueue" // a stand-in for tekton-kueue
)

// addonNamespace is where the add-on is installed.
const addonNamespace = "pac-lease-queue"

// contender is a queue that is measured.
type contender interface {
	// up brings it up, for queues of the given limit.
	up(ctx context.Context, limit int) error
	// down takes it away. What it wrote stays.
	down(ctx context.Context) error
	// raise changes the limit of the queues of a load.
	raise(ctx context.Context, l load, limit int) error
	// pids are its processes; none if it is part of this one.
	pids() []int
	// users begin the names of those whose requests are its own.
	users() []string
	// marks says whether it marks runs that are over itself, as PAC's watcher does.
	marks() bool
}

// order is that in which contenders are measured and shown.
var order = []string{floorName, leaseName, pacName, kueueName}

// contenders make the contenders.
var contenders = map[string]func(*bench, measure) contender{
	floorName: func(b *bench, _ measure) contender { return &floorContender{bench: b, name: floorName} },
	leaseName: func(b *bench, m measure) contender { return &leaseContender{bench: b, values: m.values} },
	pacName:   func(b *bench, _ measure) contender { return &pacContender{bench: b} },
	kueueName: func(b *bench, _ measure) contender {
		return &floorContender{bench: b, name: kueueName, besides: kueueBesides}
	},
}

// floorContender runs the floor within this process, or what does more than the floor.
type floorContender struct {
	*bench
	name string
	// besides makes what is done before each start; nil for nothing. It may leave some to the
	// group.
	besides func(fixture.Clients, *errgroup.Group) func(context.Context, step) error
	floor   *floor
	cancel  context.CancelFunc
	play    *errgroup.Group
}

func (c *floorContender) up(ctx context.Context, limit int) error {
	account := metav1.ObjectMeta{Name: c.name, Namespace: templateName}
	kube := c.admin.Kube
	_, err := kube.CoreV1().ServiceAccounts(templateName).Create(ctx, &corev1.ServiceAccount{ObjectMeta: account}, metav1.CreateOptions{})
	if err == nil {
		_, err = kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: c.name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: c.name, Namespace: templateName}},
		}, metav1.CreateOptions{})
	}
	if err = ignoreExists(err); err != nil {
		return err
	}
	config, err := c.ServiceAccountConfig(ctx, templateName, c.name)
	if err != nil {
		return err
	}
	clients, err := fixture.NewClients(config)
	if err != nil {
		return err
	}
	playing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.floor, c.cancel, c.play = newFloor(clients, limit), cancel, &errgroup.Group{}
	if c.besides != nil {
		c.floor.before = c.besides(clients, c.play)
	}
	c.play.Go(func() error { return c.floor.play(playing) })
	return nil
}

func (c *floorContender) down(context.Context) error {
	c.cancel()
	return c.play.Wait()
}

func (c *floorContender) raise(_ context.Context, _ load, limit int) error {
	c.floor.raise(limit)
	return nil
}

func (*floorContender) pids() []int { return nil }
func (c *floorContender) users() []string {
	return []string{"system:serviceaccount:" + templateName + ":" + c.name}
}
func (*floorContender) marks() bool { return false }

// leaseContender is this product, as its chart installs it.
type leaseContender struct {
	*bench
	values []string
	addon  *stack.Addon
}

func (c *leaseContender) up(ctx context.Context, _ int) (err error) {
	c.addon, err = c.InstallAddon(ctx, stack.AddonOptions{
		Replicas: 2, Values: slices.Concat(c.values, c.config.Values),
		Contained:   cgroup.Try() == nil, // with the memory that the chart gives them
		ReadyWithin: deadline,
	})
	return err
}

func (c *leaseContender) down(ctx context.Context) error { return c.addon.Uninstall(ctx) }

func (c *leaseContender) raise(ctx context.Context, l load, limit int) error {
	return c.raiseRepositories(ctx, l, limit)
}

func (c *leaseContender) pids() []int {
	var all []int
	for _, r := range c.addon.Replicas() {
		all = append(all, r.Pid())
	}
	return all
}

func (*leaseContender) users() []string {
	return []string{"system:serviceaccount:" + addonNamespace + ":"}
}
func (*leaseContender) marks() bool { return false }

// pacContender is PAC's own queue: its watcher, which also reports to Gitea.
type pacContender struct{ *bench }

// up returns once the watcher has started a run. When it comes up, it takes all queued runs of a
// namespace for runs of each Repository there (pkg/queue/queue_manager.go, InitQueues), and its
// queues are stuck for good.
func (c *pacContender) up(ctx context.Context, _ int) error {
	if err := c.StartWatchers(ctx, 1); err != nil {
		return err
	}
	first := newLoad(fmt.Sprintf("first-%s-%d", pacName, c.starts), 1, 1, 1)
	c.starts++
	if err := errors.Join(c.prepare(ctx, first, 1), c.create(ctx, first)); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	runs := c.admin.Tekton.TektonV1().PipelineRuns(first.queues[0].Namespace)
	err := await.Until(waiting, 100*time.Millisecond, func() error {
		list, err := runs.List(waiting, metav1.ListOptions{})
		if err == nil && (len(list.Items) != 1 || list.Items[0].IsPending()) {
			err = errors.New("PAC's watcher has not started the first run")
		}
		return err
	})
	return errors.Join(err, c.remove(ctx, first))
}

func (c *pacContender) down(ctx context.Context) error {
	return errors.Join(c.StopWatchers(ctx), ctx.Err())
}

func (c *pacContender) raise(ctx context.Context, l load, limit int) error {
	return c.raiseRepositories(ctx, l, limit)
}

func (c *pacContender) pids() []int {
	var all []int
	for _, w := range c.Watchers() {
		all = append(all, w.Pid())
	}
	return all
}

func (*pacContender) users() []string { return []string{stack.PACWatcherUser.Name()} }
func (*pacContender) marks() bool     { return true }

// raiseRepositories changes concurrency_limit.
func (b *bench) raiseRepositories(ctx context.Context, l load, limit int) error {
	for _, key := range l.queues {
		if err := b.admin.SetLimit(ctx, key, &limit); err != nil {
			return err
		}
	}
	return nil
}
