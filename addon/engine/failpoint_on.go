//go:build failpoints

package engine

import (
	"os"
	"syscall"
)

// failpoint kills this process, as SIGKILL from outside would, if the
// environment names this point: the only way to be sure that a replica dies
// just there. Such builds are for tests.
func failpoint(point string) {
	if os.Getenv("PAC_LEASE_QUEUE_FAILPOINT") == point {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
