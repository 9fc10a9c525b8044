//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/cgroup"
)

// Spec is what to run, and how to find out whether it works.
type Spec struct {
	Name string // unique in its stack; also the name of its log file
	Path string
	Args []string
	Env  []string // added to a minimal environment; nothing else is inherited
	Dir  string   // working folder and HOME
	Logs string   // folder of the log file
	// Memory is how many bytes of memory the process may have before the kernel kills it, in a
	// control group of its own. Zero means no bound.
	Memory int64

	// Ready checks once whether the process serves. nil means that it does as soon as it runs.
	Ready func(ctx context.Context) error
	// ReadyWithin bounds the time until Ready succeeds. Zero means 30 seconds.
	ReadyWithin time.Duration
	// Abrupt makes Stop and Restart use SIGKILL. It is for programs whose graceful end takes long
	// without need, like a server that drains clients that are gone.
	Abrupt bool
	// Died is called when the process ends by itself.
	Died func(p *Process, err error)
}

// Process is one program of a stack. It can be started, stopped and started again, and keeps its
// name, ports and log file. Its methods are safe for concurrent use.
type Process struct {
	spec Spec

	mu      sync.Mutex
	extra   []string
	current *run
}

// run is one life of a process.
type run struct {
	pid         int
	logStart    int64         // where this life begins in the log
	done        chan struct{} // closed when the leader is reaped
	err         error         // set before done is closed
	expected    bool          // its end was requested; guarded by Process.mu
	outOfMemory bool          // the kernel ended it; set before done is closed
}

// restartGrace is how long Restart waits for a graceful end.
const restartGrace = 10 * time.Second

// errNotRunning is the error of signalling a process that has ended or was never started.
var errNotRunning = errors.New("not running")

// New describes a process without starting it.
func New(spec Spec) *Process {
	if spec.ReadyWithin == 0 {
		spec.ReadyWithin = 30 * time.Second
	}
	return &Process{spec: spec}
}

// Name returns the name of the process in its stack.
func (p *Process) Name() string { return p.spec.Name }

// SetEnv adds environment variables, e.g. failpoints, to the next lives of the process. They
// replace those of an earlier call.
func (p *Process) SetEnv(env ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.extra = env
}

// Start starts the process and returns when it is ready.
func (p *Process) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return err
	}
	return p.WaitReady(ctx)
}

// Launch starts the process and does not wait until it is ready.
func (p *Process) Launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current.alive() {
		return fmt.Errorf("%s is already running", p.spec.Name)
	}
	log, err := os.OpenFile(p.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "# %s %s %s\n", time.Now().Format(time.RFC3339Nano), p.spec.Path, strings.Join(p.spec.Args, " "))
	var group *cgroup.Group
	if p.spec.Memory > 0 {
		name := fmt.Sprintf("%s-%d-%d", p.spec.Name, os.Getpid(), logStart)
		if group, err = cgroup.New(name, p.spec.Memory); err != nil {
			return fmt.Errorf("a control group for %s: %w", p.spec.Name, err)
		}
	}
	cmd := p.command(group)
	cmd.Dir = p.spec.Dir
	cmd.Env = slices.Concat(Env(p.spec.Dir), p.spec.Env, p.extra)
	cmd.Stdout, cmd.Stderr = log, log
	if err := start(cmd); err != nil {
		return errors.Join(fmt.Errorf("starting %s: %w", p.spec.Name, err), group.Delete())
	}
	r := &run{pid: cmd.Process.Pid, logStart: logStart, done: make(chan struct{})}
	p.current = r
	go p.reap(cmd, r, group)
	return nil
}

// command returns the command to run: in the control group, unless it is nil.
func (p *Process) command(group *cgroup.Group) *exec.Cmd {
	if group == nil {
		return exec.Command(p.spec.Path, p.spec.Args...)
	}
	const enter = `echo 0 >"$0" && exec "$@"`
	return exec.Command("/bin/sh", slices.Concat([]string{"-c", enter, group.Door(), p.spec.Path}, p.spec.Args)...)
}

// OutOfMemory says whether the kernel ended the last life of the process for want of memory. It is
// false while the process runs.
func (p *Process) OutOfMemory() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current != nil && !p.current.alive() && p.current.outOfMemory
}

// reap waits for the leader to end, then kills its helpers and deletes their control group.
func (p *Process) reap(cmd *exec.Cmd, r *run, group *cgroup.Group) {
	r.err = cmd.Wait()
	_ = signalGroup(r.pid, syscall.SIGKILL)
	r.outOfMemory = group.Kills() > 0
	_ = group.Delete() // an empty one that stays costs nothing
	close(r.done)
	p.mu.Lock()
	expected := r.expected
	p.mu.Unlock()
	if !expected && p.spec.Died != nil {
		p.spec.Died(p, r.err)
	}
}

// WaitReady waits until the process is ready, and fails when it ends or takes too long.
func (p *Process) WaitReady(ctx context.Context) error {
	if p.spec.Ready == nil {
		return nil
	}
	p.mu.Lock()
	r := p.current
	p.mu.Unlock()
	if r == nil {
		return fmt.Errorf("%s: %w", p.spec.Name, errNotRunning)
	}
	ctx, cancel := context.WithTimeout(ctx, p.spec.ReadyWithin)
	defer cancel()
	for {
		err := p.spec.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("%s ended before it was ready: %w%s", p.spec.Name, r.exit(), p.excerpt())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w%s", p.spec.Name, p.spec.ReadyWithin, err, p.excerpt())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Ready checks once whether the process serves.
func (p *Process) Ready(ctx context.Context) error {
	if p.spec.Ready == nil {
		return nil
	}
	return p.spec.Ready(ctx)
}

// Running says whether the process is alive. A paused process is.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current.alive()
}

// Pid returns the id of the process and of its group, or 0 if it does not run.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.current.alive() {
		return 0
	}
	return p.current.pid
}

// Kill ends the process and its helpers with SIGKILL and returns when the process is gone.
func (p *Process) Kill() error {
	r, err := p.end(syscall.SIGKILL)
	if err != nil {
		return err
	}
	<-r.done
	return nil
}

// Terminate ends the process with SIGTERM and returns when it is gone. When ctx ends first,
// Terminate kills the process and returns the context's error.
func (p *Process) Terminate(ctx context.Context) error {
	r, err := p.end(syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		_ = signalGroup(r.pid, syscall.SIGKILL)
		<-r.done
		return fmt.Errorf("%s did not end on SIGTERM and was killed: %w", p.spec.Name, ctx.Err())
	}
}

// Pause stops the process (SIGSTOP): its connections stay open and go unanswered.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume continues a paused process (SIGCONT).
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// Wait returns when the process has ended, with its exit error.
func (p *Process) Wait(ctx context.Context) error {
	p.mu.Lock()
	r := p.current
	p.mu.Unlock()
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop ends the process if it runs: with Kill if it is Abrupt, otherwise with Terminate. It is gone
// when Stop returns.
func (p *Process) Stop(ctx context.Context) error {
	switch {
	case !p.Running():
		return nil
	case p.spec.Abrupt:
		return p.Kill()
	default:
		return p.Terminate(ctx)
	}
}

// Abrupt says that Stop kills the process.
func (p *Process) Abrupt() bool { return p.spec.Abrupt }

// Restart stops the process if it runs, starts it again with the same arguments and ports, and
// returns when it is ready.
func (p *Process) Restart(ctx context.Context) error {
	polite, cancel := context.WithTimeout(ctx, restartGrace)
	defer cancel()
	_ = p.Stop(polite) // it is gone either way
	return p.Start(ctx)
}

// end signals a process to end. It resumes a paused process, which could not end otherwise.
func (p *Process) end(signal syscall.Signal) (*run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return nil, fmt.Errorf("%s: %w", p.spec.Name, errNotRunning)
	}
	p.current.expected = true
	if p.current.alive() {
		if err := signalGroup(p.current.pid, signal); err != nil {
			return nil, err
		}
		_ = signalGroup(p.current.pid, syscall.SIGCONT)
	}
	return p.current, nil
}

func (p *Process) signal(signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.current.alive() {
		return fmt.Errorf("%s: %w", p.spec.Name, errNotRunning)
	}
	return signalGroup(p.current.pid, signal)
}

func (r *run) alive() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

func (r *run) exit() error {
	if r.err != nil {
		return r.err
	}
	return errors.New("exit status 0")
}

// Env returns the minimal environment in which programs find their helpers. KUBECONFIG, proxies and
// the like are not inherited.
func Env(home string) []string {
	env := []string{"HOME=" + home, "LANG=C.UTF-8"}
	for _, key := range []string{"PATH", "TMPDIR", "USER"} {
		if v, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+v)
		}
	}
	return env
}
