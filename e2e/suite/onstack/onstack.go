// Package onstack is the embedded stack as the suite's Cluster. What a Deployment
// and its nodes would do is done to processes: the replicas of the add-on.
package onstack

import (
	"context"
	"slices"
	"strconv"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitea"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// anyQueue is one of those that the leader leads: all of them, since the chart has one bucket.
var anyQueue queue.Key

// Cluster is a stack with an installation of the add-on, or none.
type Cluster struct {
	*stack.Stack

	opts    stack.AddonOptions
	addon   *stack.Addon
	drained *stack.Replica
}

var _ suite.Cluster = (*Cluster)(nil)

// New returns a stack without the add-on. The options are for when it is installed.
func New(s *stack.Stack, opts stack.AddonOptions) *Cluster { return &Cluster{Stack: s, opts: opts} }

// Addon is the installation, or nil.
func (c *Cluster) Addon() *stack.Addon { return c.addon }

// Providers are two accounts on the stack's Gitea: a user and an organisation.
func (c *Cluster) Providers() ([]provider.Provider, error) {
	if _, _, err := c.Gitea().Client().CreateOrg(sdk.CreateOrgOption{Name: organisation}); err != nil {
		return nil, err
	}
	options := gitea.Options{URL: c.Gitea().URL(), Token: c.Gitea().Token(), Hook: c.PACControllerURL()}
	user := gitea.New(options)
	options.Owner = organisation
	return []provider.Provider{user, gitea.New(options)}, nil
}

const organisation = "team"

// Healthy says whether the add-on is installed and has n replicas, all of them
// running; it waits for those that are on their way.
func (c *Cluster) Healthy(ctx context.Context, n int) bool {
	return c.addon != nil && len(c.addon.Replicas()) == n && !slices.ContainsFunc(c.addon.Replicas(), func(r *stack.Replica) bool {
		return r.WaitReady(ctx) != nil
	})
}

// Config is the administrator's.
func (c *Cluster) Config() *rest.Config { return c.Stack.Config(stack.Admin) }

// Upgrade installs the add-on or changes chart values, and brings back what was killed.
func (c *Cluster) Upgrade(ctx context.Context, values ...string) (err error) {
	if c.addon == nil {
		opts := c.opts
		opts.Values = slices.Concat(opts.Values, values)
		c.addon, err = c.InstallAddon(ctx, opts)
		return err
	}
	if err := c.addon.Upgrade(ctx, values...); err != nil {
		return err
	}
	var all errgroup.Group
	for _, r := range c.addon.Replicas() {
		all.Go(func() error {
			if r.Running() || r == c.drained {
				return nil
			}
			return r.Start(ctx)
		})
	}
	return all.Wait()
}

// Uninstall runs helm uninstall.
func (c *Cluster) Uninstall(ctx context.Context) error {
	err := c.addon.Uninstall(ctx)
	c.addon, c.drained = nil, nil
	return err
}

// Kill kills the replica that leads and starts another in its place.
func (c *Cluster) Kill(ctx context.Context) (string, error) {
	leader, err := c.addon.Leader(ctx, anyQueue)
	if err != nil {
		return "", err
	}
	if err := leader.Kill(); err != nil {
		return "", err
	}
	return leader.Name(), leader.Launch()
}

// Restart changes the pod template, as kubectl rollout restart does.
func (c *Cluster) Restart(ctx context.Context) error {
	return c.Upgrade(ctx, "podAnnotations.restarted=at-"+strconv.FormatInt(time.Now().UnixNano(), 36))
}

// Drain ends the replica that leads as politely as an eviction does. It stays away
// until it is restored.
func (c *Cluster) Drain(ctx context.Context) (restore func(context.Context) error, err error) {
	leader, err := c.addon.Leader(ctx, anyQueue)
	if err != nil {
		return nil, err
	}
	c.drained = leader
	restore = func(ctx context.Context) error {
		c.drained = nil
		return leader.Start(ctx)
	}
	return restore, leader.Stop(ctx)
}

// Watchers starts n PAC watchers in place of those that run.
func (c *Cluster) Watchers(ctx context.Context, n int) error { return c.StartWatchers(ctx, n) }

// RunFile is the file of one PipelineRun, whose pod takes so long.
func (c *Cluster) RunFile(name string, each time.Duration, annotations ...string) string {
	return stack.RunFile(name, each, annotations...)
}
