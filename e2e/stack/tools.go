package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// Helm runs helm as the administrator and returns its output.
func (s *Stack) Helm(ctx context.Context, args ...string) (string, error) {
	return s.tool(ctx, build.Helm, args...)
}

// Kubectl runs kubectl as the administrator and returns its output. The first call may have to
// build kubectl.
func (s *Stack) Kubectl(ctx context.Context, args ...string) (string, error) {
	return s.tool(ctx, build.Kubectl, args...)
}

// tool runs a program, which it builds if necessary.
func (s *Stack) tool(ctx context.Context, name build.Component, args ...string) (string, error) {
	programs, err := s.opts.Versions.Build(ctx, s.opts.Log, name)
	if err != nil {
		return "", err
	}
	home := filepath.Join(s.dir, string(name))
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, programs[name], args...)
	cmd.Env = append(process.Env(home), "KUBECONFIG="+s.Kubeconfig(Admin))
	return output(cmd)
}

// output runs a program to its end and returns its output.
func output(cmd *exec.Cmd) (string, error) {
	cmd.WaitDelay = 5 * time.Second
	out, err := process.Output(cmd)
	if err != nil {
		return out, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return out, nil
}
