package providertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/driver"
)

// A wait for the provider's own work is real, so a busy provider has as long as on a real clock.
// The wait that a fault causes is skipped.
func TestClock(t *testing.T) {
	var ready time.Time
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if time.Now().Before(ready) {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(busy.Close)
	w := newWire(first(1, answer(http.StatusTooManyRequests, map[string]string{"Retry-After": "60"}, "")))
	forge := driver.NewTransport("Forge", "", driver.Options{Next: w, Clock: w.clock})
	client := &http.Client{Transport: forge}
	exists := func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, busy.URL, nil)
		if err != nil {
			return false, err
		}
		reply, err := client.Do(request)
		if err != nil {
			return false, err
		}
		return reply.StatusCode == http.StatusOK, reply.Body.Close()
	}

	if done, err := exists(t.Context()); !done || err != nil {
		t.Errorf("after the fault: %v, %v", done, err)
	}
	if skipped := w.clock.total(); skipped < 59*time.Second {
		t.Errorf("%s of the minute that the fault asked for were skipped", skipped)
	}
	ready = time.Now().Add(500 * time.Millisecond)
	if err := driver.AwaitBranch(t.Context(), forge, "main", exists); err != nil {
		t.Error(err)
	}
}
