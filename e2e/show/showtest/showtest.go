// Package showtest plays shows as tests.
package showtest

import (
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// Play plays a show with the given settings, in the names of environment variables. The test fails
// if anything is broken.
func Play(t *testing.T, s show.Show, settings map[string]string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the embedded stack")
	}
	if err := s.Configure(nil, func(name string) string { return settings[name] }); err != nil {
		t.Fatal(err)
	}
	result, err := s.Perform(t.Context(), screen.Lines(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK {
		t.Error(result.Report)
	}
}
