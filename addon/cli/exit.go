package cli

import (
	"errors"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/doctor"
)

// Exit codes of the plugin, besides 0.
const (
	// ExitFinding says that the command worked and found something wrong.
	ExitFinding = 1
	// ExitFailure says that the command did not work: it was misused, lacked rights or could not
	// reach the cluster.
	ExitFailure = 2
)

// ExitCode is that of a command which returned err.
func ExitCode(err error) int {
	var found doctor.ErrFound
	switch {
	case err == nil:
		return 0
	case errors.As(err, &found):
		return ExitFinding
	default:
		return ExitFailure
	}
}
