package main

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"knative.dev/pkg/observability/runtime"
)

// T5: neither the queues of all namespaces nor profiles are served to the network.
func TestDebugPortIsOnLoopback(t *testing.T) {
	t.Setenv(runtime.ProfilingPortEnvKey, "0")
	profiles, mux := runtime.NewProfilingServer(), http.NewServeMux()
	listener, err := debugListener(profiles, mux)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = profiles.Serve(listener) }()
	defer profiles.Close()
	mux.HandleFunc("/debug/queues", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "queues") })
	address := listener.Addr().(*net.TCPAddr)
	if !address.IP.IsLoopback() {
		t.Fatalf("the debug port listens on %s", address)
	}
	status := func(path string) int {
		t.Helper()
		answer, err := http.Get("http://" + address.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	const queues, profile = "/debug/queues", "/debug/pprof/goroutine"
	if q, p := status(queues), status(profile); q != http.StatusOK || p != http.StatusNotFound {
		t.Errorf("without profiling: queues %d, a profile %d", q, p)
	}
	profiles.SetEnabled(true)
	if q, p := status(queues), status(profile); q != http.StatusOK || p != http.StatusOK {
		t.Errorf("with profiling: queues %d, a profile %d", q, p)
	}
}
