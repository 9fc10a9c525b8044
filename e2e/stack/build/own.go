package build

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// Own is a go command for packages of this repository: args are those of go, e.g. build, and
// packages and more flags follow them. Without the race detector it compiles with the flags of the
// stack's components, as the Makefile does, and with it as go test -race does, so that nothing that
// both need is compiled twice.
func Own(ctx context.Context, race bool, verb string, args ...string) (*exec.Cmd, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	flags, cgo := []string{verb, "-buildvcs=false", "-trimpath"}, "CGO_ENABLED=0"
	if race {
		flags, cgo = []string{verb, "-buildvcs=false", "-race"}, "CGO_ENABLED=1"
	}
	cmd := goCommand(ctx, root, append(flags, args...)...)
	cmd.Env = append(cmd.Env, cgo)
	return cmd, nil
}

// Compile compiles packages of this repository into Go's cache, so that running them later starts
// at once. Progress goes to log, as in Build.
func Compile(ctx context.Context, log func(format string, args ...any), packages ...string) error {
	all := program{recipe: recipe{name: Component(strings.Join(packages, " and "))}}
	progress := newProgress(log, []program{all})
	defer progress.stop()
	progress.start(all, "compiling")
	// Unlike go build, go list links nothing.
	args := append([]string{"-export", "-deps", "-v", "-f", "{{/* nothing */}}"}, packages...)
	cmd, err := Own(ctx, false, "list", args...)
	if err != nil {
		return err
	}
	out := &buildOutput{compiled: progress.compiled}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 5 * time.Second
	if err := process.Run(cmd); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.tail.String())
	}
	progress.done(all, "compiled")
	return nil
}
