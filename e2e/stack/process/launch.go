//go:build unix

package process

import (
	"bytes"
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// launcher is the thread that forks every child. It lives as long as this program.
var launcher = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for fork := range work {
			fork()
		}
	}()
	return work
})

// start starts a command as the leader of a new process group, which ends with this program.
func start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = groupLeader()
	started := make(chan error)
	launcher() <- func() { started <- cmd.Start() }
	return <-started
}

// Run runs a command to its end like cmd.Run, but in a process group of its own. The whole group
// ends with this program and with the command's context.
func Run(cmd *exec.Cmd) error {
	if cmd.Cancel != nil {
		cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, syscall.SIGKILL) }
	}
	if err := start(cmd); err != nil {
		return err
	}
	err := cmd.Wait()
	_ = signalGroup(cmd.Process.Pid, syscall.SIGKILL)
	return err
}

// Output runs a command like Run and returns its output, standard error included.
func Output(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := Run(cmd)
	return out.String(), err
}

// signalGroup signals a process group. A group that is gone is no error.
func signalGroup(pid int, signal syscall.Signal) error {
	if err := syscall.Kill(-pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
