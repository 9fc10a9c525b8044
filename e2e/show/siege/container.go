package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/usage"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// containers do to the replicas what the kernel and the kubelet do to containers: one that needs
// more memory than its limit is killed, so is one whose liveness probe fails too often, and what
// has ended is started again. They keep what each replica needed.
type containers struct {
	addon *stack.Addon
	say   func(format string, args ...any)
	limit int64 // bytes
	probe *corev1.Probe
	// uncontained is why this machine has no control groups for the replicas. Then this program
	// instead of the kernel kills one whose resident memory is above the limit, and its garbage
	// collector knows of no limit. It is nil where there are control groups.
	uncontained error

	mu       sync.Mutex
	peaks    map[string]int64 // resident bytes, by replica, since the last call of reset
	restarts []string         // in words
}

const (
	// measureEvery is how often the memory of a replica is read.
	measureEvery = 20 * time.Millisecond
)

// newContainers reads the bounds of the container from the Deployment.
func newContainers(
	ctx context.Context, s *stack.Stack, addon *stack.Addon, uncontained error, say func(string, ...any),
) (*containers, error) {
	deployment, err := s.Kubernetes().AppsV1().Deployments(addon.Namespace()).Get(ctx, theAddOn, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	container := deployment.Spec.Template.Spec.Containers[0]
	return &containers{
		addon: addon, say: say, limit: container.Resources.Limits.Memory().Value(), probe: container.LivenessProbe,
		uncontained: uncontained, peaks: map[string]int64{},
	}, nil
}

// watch watches one replica until the context ends.
func (c *containers) watch(ctx context.Context, r *stack.Replica) error {
	probing, stop := context.WithCancel(ctx)
	defer stop()
	unhealthy := make(chan struct{})
	go c.probeLiveness(probing, r, unhealthy)
	for {
		select {
		case <-time.After(measureEvery):
		case <-unhealthy:
			if err := c.restart(r, "its liveness probe failed %d times", c.probe.FailureThreshold); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
		pid := r.Pid()
		if pid == 0 {
			why := "it ended by itself"
			if r.OutOfMemory() {
				why = fmt.Sprintf("the kernel killed it for want of memory, its container has %s", mebibytes(c.limit))
			}
			if err := c.restart(r, "%s", why); err != nil {
				return err
			}
			continue
		}
		resident, err := usage.Resident(pid)
		if err != nil {
			continue // it has just ended
		}
		c.mu.Lock()
		c.peaks[r.Name()] = max(c.peaks[r.Name()], resident)
		c.mu.Unlock()
		if c.uncontained != nil && resident > c.limit {
			if err := c.restart(r, "it had %s, its container has %s", mebibytes(resident), mebibytes(c.limit)); err != nil {
				return err
			}
		}
	}
}

// restart kills the replica, if it still runs, and starts it again.
func (c *containers) restart(r *stack.Replica, format string, args ...any) error {
	why := fmt.Sprintf("%s restarted: %s", r.Name(), fmt.Sprintf(format, args...))
	c.say("%s", why)
	c.mu.Lock()
	c.restarts = append(c.restarts, why)
	c.mu.Unlock()
	if r.Running() {
		if err := r.Kill(); err != nil {
			return err
		}
	}
	return r.Launch()
}

// probeLiveness asks as the kubelet does whether the replica lives, and tells each time when it did
// not so often that the kubelet would restart it.
func (c *containers) probeLiveness(ctx context.Context, r *stack.Replica, unhealthy chan<- struct{}) {
	client := &http.Client{Timeout: time.Duration(c.probe.TimeoutSeconds) * time.Second}
	failures := int32(0)
	for {
		select {
		case <-time.After(time.Duration(c.probe.PeriodSeconds) * time.Second):
		case <-ctx.Done():
			return
		}
		if healthy(ctx, client, r.ProbesURL+c.probe.HTTPGet.Path) {
			failures = 0
			continue
		}
		if failures++; failures == c.probe.FailureThreshold {
			failures = 0
			select {
			case unhealthy <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}
}

func healthy(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := client.Do(request)
	if err != nil {
		return ctx.Err() != nil
	}
	defer answer.Body.Close()
	return answer.StatusCode < http.StatusBadRequest
}

// reset forgets the peaks.
func (c *containers) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.peaks)
}

// peak returns the most that a replica had since the last reset.
func (c *containers) peak() (most int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, peak := range c.peaks {
		most = max(most, peak)
	}
	return most
}

// ended returns the restarts so far, in words.
func (c *containers) ended() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restarts[:len(c.restarts):len(c.restarts)]
}

// cpu returns the CPU time of each replica so far, in the order of their names. That of a replica
// that has just ended is zero.
func (c *containers) cpu() []time.Duration {
	var all []time.Duration
	for _, r := range c.addon.Replicas() {
		used, _ := usage.CPU(r.Pid())
		all = append(all, used)
	}
	return all
}

// cores begins to measure. What it returns tells how many cores the busiest replica has used since.
func (c *containers) cores() func() float64 {
	began, before := time.Now(), c.cpu()
	return func() (most float64) {
		took := time.Since(began)
		for i, after := range c.cpu() {
			if i < len(before) {
				most = max(most, float64(after-before[i])/float64(took))
			}
		}
		return most
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
