package metrics

import "github.com/pac-lease-queue/pac-lease-queue/addon/queue"

// Kinds of recoveries besides the actions that the leader did not take in time.
const (
	// kindAdopt gives a slot to a run that ran without one.
	kindAdopt = "adopt"
	// kindRewrite writes a slot anew that could not be read.
	kindRewrite = "rewrite"
)

// recoveryKinds lists the values of the label kind.
func recoveryKinds() []string {
	kinds := []string{kindAdopt, kindRewrite}
	for _, kind := range queue.Kinds() {
		kinds = append(kinds, string(kind))
	}
	return kinds
}
