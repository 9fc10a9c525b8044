// Package plugin_test runs the command-line plugin against a real API server with the add-on
// installed by its chart, and against ten prepared faults. The tests create runs as
// Pipelines-as-Code does.
package plugin_test

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// deadline bounds every wait.
const deadline = 60 * time.Second

// claimTTL is short, because one fault waits for a claim to expire.
const claimTTL = "2s"

// site is nil where no cluster can be had.
var site *fixture.Site

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm}, prepare))
}

func prepare(ctx context.Context, s *stack.Stack) (err error) {
	site, err = fixture.NewSite(ctx, s,
		"concurrency.claimTTL="+claimTTL, "concurrency.takeoverAfter=1s", "concurrency.backoffBase=1s", "concurrency.backoffMax=30s",
		"admission.guard.breakGlassGroups={system:masters}", // damages slots, and restores them
		"metrics.secure.enabled=true",                       // has rights of its own
	)
	return err
}

// command runs the plugin as a user.
func command(t *testing.T, as stack.User, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	c := cli.Command("kubectl pac-queue")
	if args[0] != cobra.ShellCompRequestCmd { // its last argument must stay the word to complete
		args = append(args, "--kubeconfig", site.Kubeconfig(as))
	}
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&errs)
	err = c.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	fixture.Eventually(t, deadline, what, check)
}
