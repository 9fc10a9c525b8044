package usage_test

import (
	"os"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/usage"
)

func TestOwnProcess(t *testing.T) {
	resident, err := usage.Resident(os.Getpid())
	if err != nil {
		t.Skip("no /proc:", err)
	}
	if resident < 1<<20 || resident > 1<<40 {
		t.Errorf("this process has %d bytes", resident)
	}
	if used, err := usage.CPU(os.Getpid()); err != nil || used < 0 || used > time.Hour {
		t.Errorf("this process has used %s: %v", used, err)
	}
	if _, err := usage.Resident(-1); err == nil {
		t.Error("a process that does not exist has a size")
	}
}
