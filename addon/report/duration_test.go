package report_test

import (
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

func TestRound(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 1900 * time.Millisecond: "1s", 119 * time.Second: "119s", 2 * time.Minute: "2m",
		59*time.Minute + 59*time.Second: "59m", time.Hour: "1h00m", 3*time.Hour + 20*time.Minute: "3h20m",
	} {
		if got := report.Round(d); got != want {
			t.Errorf("Round(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestTick(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 1260 * time.Millisecond: "1.3s", 99 * time.Second: "99.0s", 100 * time.Second: "1m40s",
		100 * time.Minute: "1h40m",
	} {
		if got := report.Tick(d); got != want {
			t.Errorf("Tick(%s) = %q, want %q", d, got, want)
		}
	}
}
