package stack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
)

// Deadlines of what the stack waits for, generous enough for a loaded machine with two cores.
const (
	etcdDeadline              = 30 * time.Second
	apiServerDeadline         = 60 * time.Second
	controllerManagerDeadline = 60 * time.Second
	crdDeadline               = 30 * time.Second
	tektonDeadline            = 90 * time.Second
	pacDeadline               = 60 * time.Second
	giteaDeadline             = 90 * time.Second
	kwokDeadline              = 60 * time.Second
	addonDeadline             = 60 * time.Second
	electionDeadline          = 60 * time.Second

	stopGrace = 3 * time.Second
)

// until polls until try succeeds. The error after the deadline names what it waited for and the
// last failure.
func until(ctx context.Context, what string, deadline time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("waited %s for %s", deadline, what))
	defer cancel()
	return await.Until(ctx, 50*time.Millisecond, func() error { return try(ctx) })
}

// probe returns a readiness check: a GET that gets a status below 400.
func probe(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode >= http.StatusBadRequest {
			body, _ := io.ReadAll(io.LimitReader(res.Body, 500))
			return fmt.Errorf("GET %s: %s: %s", url, res.Status, body)
		}
		return nil
	}
}
