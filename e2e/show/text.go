package show

import (
	"fmt"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Count writes a number of things: "1 run", "2 runs".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Brief writes a duration with the digits that matter.
func Brief(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return report.Tick(d)
}
