//go:build unix

package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/cgroup"
)

const patience = 10 * time.Second

// shell returns a process that runs a script and is ready once the script has created the file
// ready.
func shell(t *testing.T, script string, died func(*Process, error)) *Process {
	t.Helper()
	dir := t.TempDir()
	p := New(Spec{
		Name: "shell",
		Path: "/bin/sh",
		Args: []string{"-c", script},
		Dir:  dir,
		Logs: dir,
		Ready: func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, "ready"))
			return err
		},
		ReadyWithin: patience,
		Died:        died,
	})
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

func TestKillTakesHelpersAlong(t *testing.T) {
	p := shell(t, "sleep 600 & echo $! > helper; touch ready; wait", func(*Process, error) {
		t.Error("Died was called for a killed process")
	})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(p.spec.Dir, "helper"))
	if err != nil {
		t.Fatal(err)
	}
	helper, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if p.Running() || p.Pid() != 0 {
		t.Error("the killed process counts as running")
	}
	for deadline := time.Now().Add(patience); runs(helper); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the helper lives on")
		}
	}
	if err := p.Kill(); err != nil {
		t.Errorf("killing it again: %v", err)
	}
}

// runs says whether a process exists that is more than an entry waiting to be reaped.
func runs(pid int) bool {
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, state, _ := strings.Cut(string(b), ") ")
		return !strings.HasPrefix(state, "Z")
	}
	return syscall.Kill(pid, 0) == nil
}

func TestTerminateWaitsAndKillsInTheEnd(t *testing.T) {
	polite := shell(t, "trap 'echo bye; exit 0' TERM; touch ready; while :; do sleep 0.05; done", nil)
	if err := polite.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := polite.Terminate(t.Context()); err != nil {
		t.Error(err)
	}
	if log, _ := os.ReadFile(polite.LogFile()); !strings.Contains(string(log), "bye") {
		t.Errorf("the process got no SIGTERM; log: %s", log)
	}

	stubborn := shell(t, "trap '' TERM; touch ready; while :; do sleep 0.05; done", nil)
	if err := stubborn.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := stubborn.Terminate(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("terminating a stubborn process: %v", err)
	}
	if stubborn.Running() {
		t.Error("the stubborn process still runs")
	}
}

func TestPausedProcessCanBeResumedAndEnded(t *testing.T) {
	p := shell(t, "touch ready; while :; do echo beat; sleep 0.02; done", nil)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // for a beat that was being written
	before := size(t, p)
	time.Sleep(200 * time.Millisecond)
	if after := size(t, p); after != before {
		t.Error("the paused process still runs")
	}
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); size(t, p) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the resumed process does nothing")
		}
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.Terminate(t.Context()); err != nil {
		t.Errorf("terminating a paused process: %v", err)
	}
}

func size(t *testing.T, p *Process) int64 {
	t.Helper()
	info, err := os.Stat(p.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestEarlyEndIsReported(t *testing.T) {
	died := make(chan error, 1)
	p := shell(t, "echo $REASON; exit 3", func(_ *Process, err error) { died <- err })
	p.SetEnv("REASON=no-luck")
	err := p.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no-luck") {
		t.Errorf("Start: %v, want the exit status and the end of the log", err)
	}
	select {
	case err := <-died:
		if err == nil {
			t.Error("Died got no error")
		}
	case <-time.After(patience):
		t.Error("Died was not called")
	}
	if err := p.Pause(); !errors.Is(err, errNotRunning) {
		t.Errorf("pausing an ended process: %v", err)
	}
}

func TestRestartKeepsTheLog(t *testing.T) {
	p := shell(t, "echo life $N; touch ready; exec sleep 600", nil)
	for _, n := range []string{"1", "2"} {
		p.SetEnv("N=" + n)
		_ = os.Remove(filepath.Join(p.spec.Dir, "ready")) // of the first life
		if err := p.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.ReadFile(p.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"life 1", "life 2"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("no %q in the log:\n%s", want, log)
		}
	}
	current, err := p.LogLines(p.LogStart())
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(current, ""); strings.Contains(text, "life 1") || !strings.Contains(text, "life 2") {
		t.Errorf("the log of the second life is:\n%s", text)
	}
}

func TestPortsAreNotShared(t *testing.T) {
	taken := map[int]bool{}
	for range 2 {
		ports, err := ReservePorts()
		if err != nil {
			t.Fatal(err)
		}
		defer ports.Release()
		for range 5 {
			port, err := ports.Take()
			if err != nil {
				t.Fatal(err)
			}
			if taken[port] {
				t.Errorf("port %d was handed out twice", port)
			}
			taken[port] = true
		}
	}
}

// The kernel ends a process that needs more memory than its bound, and lets be one that needs less.
func TestMemory(t *testing.T) {
	if err := cgroup.Try(); err != nil {
		t.Skipf("no control groups: %v", err)
	}
	for name, tc := range map[string]struct {
		bytes int64
		ends  bool
	}{"enough": {512 << 20, false}, "too little": {16 << 20, true}} {
		t.Run(name, func(t *testing.T) {
			p := shell(t, `text=$(head -c 64000000 /dev/zero | tr "\0" x); touch ready; sleep 600`, nil)
			p.spec.Memory = tc.bytes
			if err := p.Start(t.Context()); p.OutOfMemory() != tc.ends || (err != nil) != tc.ends {
				t.Errorf("it ended for want of memory: %t (%v), want %t", p.OutOfMemory(), err, tc.ends)
			}
		})
	}
}
