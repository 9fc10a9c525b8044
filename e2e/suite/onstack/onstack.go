package onstack

import (
	"context"
	"fmt"
	"io"
	"net/http"
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

// anyQueue stands for all queues: with one bucket, the chart's default, they have the same leader.
var anyQueue queue.Key

// Cluster is a stack, with or without an installation of the add-on.
type Cluster struct {
	*stack.Stack

	opts    stack.AddonOptions
	addon   *stack.Addon
	drained *stack.Replica // stays down until it is restored
}

var _ suite.Cluster = (*Cluster)(nil)

// New returns a cluster without the add-on. Upgrade installs it with the given options.
func New(s *stack.Stack, opts stack.AddonOptions) *Cluster { return &Cluster{Stack: s, opts: opts} }

// Addon returns the installation, or nil.
func (c *Cluster) Addon() *stack.Addon { return c.addon }

// Providers returns two accounts at the stack's Gitea: a user and an organisation.
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

// Healthy says whether the add-on is installed with n replicas that all run. It waits for replicas
// that are still starting.
func (c *Cluster) Healthy(ctx context.Context, n int) bool {
	if c.addon == nil || len(c.addon.Replicas()) != n {
		return false
	}
	broken := func(r *stack.Replica) bool { return r.WaitReady(ctx) != nil }
	return !slices.ContainsFunc(c.addon.Replicas(), broken)
}

// Config returns the administrator's configuration.
func (c *Cluster) Config() *rest.Config { return c.Stack.Config(stack.Admin) }

// Upgrade installs the add-on or changes its chart values, and restarts replicas that were killed.
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

// Board asks the process of the board.
func (c *Cluster) Board(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.addon.Board().PagesURL+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", request.URL, answer.Status)
	}
	return string(body), err
}

// Uninstall runs helm uninstall.
func (c *Cluster) Uninstall(ctx context.Context) error {
	err := c.addon.Uninstall(ctx)
	c.addon, c.drained = nil, nil
	return err
}

// Kill kills the leading replica and starts it again.
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

// Restart replaces every replica by a change of the pod template, as kubectl rollout restart does.
func (c *Cluster) Restart(ctx context.Context) error {
	return c.Upgrade(ctx, "podAnnotations.restarted=at-"+strconv.FormatInt(time.Now().UnixNano(), 36))
}

// Drain ends the leading replica with SIGTERM, as an eviction does, and keeps it down until
// restore.
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

// Watchers replaces the PAC watchers by n new ones.
func (c *Cluster) Watchers(ctx context.Context, n int) error { return c.StartWatchers(ctx, n) }

// RunFile returns the file of one PipelineRun whose pod takes the given time.
func (c *Cluster) RunFile(name string, each time.Duration, annotations ...string) string {
	return stack.RunFile(name, each, annotations...)
}
