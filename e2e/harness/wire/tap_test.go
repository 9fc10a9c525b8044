package wire_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

func TestRequests(t *testing.T) {
	for request, want := range map[string]string{
		"GET /api/v1/namespaces":                                                "list namespaces//",
		"GET /api/v1/namespaces/shop":                                           "get namespaces//shop",
		"GET /api/v1/namespaces/shop/events":                                    "list events/shop/",
		"POST /api/v1/namespaces/shop/events":                                   "create events/shop/",
		"GET /apis/tekton.dev/v1/pipelineruns":                                  "list pipelineruns//",
		"GET /apis/tekton.dev/v1/pipelineruns?watch=true":                       "watch pipelineruns//",
		"GET /apis/tekton.dev/v1/namespaces/shop/pipelineruns/a":                "get pipelineruns/shop/a",
		"PATCH /apis/tekton.dev/v1/namespaces/shop/pipelineruns/a/status":       "patch pipelineruns/status/shop/a",
		"PUT /apis/coordination.k8s.io/v1/namespaces/shop/leases/app.slot-0":    "update leases/shop/app.slot-0",
		"DELETE /apis/coordination.k8s.io/v1/namespaces/shop/leases/app.slot-0": "delete leases/shop/app.slot-0",
		"DELETE /apis/coordination.k8s.io/v1/namespaces/shop/leases":            "deletecollection leases/shop/",
	} {
		var got string
		client := clientFor(t, "http://unused.invalid", func(r wire.Request, _ wire.Send) (*http.Response, error) {
			got = r.Verb + " " + r.Resource + "/" + r.Namespace + "/" + r.Name
			return nil, errors.New("not sent")
		})
		method, path, _ := strings.Cut(request, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, "http://unused.invalid"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := client.Do(r); err == nil {
			res.Body.Close()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
}

// A lost request never arrives; the request of a lost reply does.
func TestLosses(t *testing.T) {
	for _, c := range []struct {
		tap  wire.Tap
		err  error
		want []string
	}{
		{wire.LoseRequest, wire.ErrRequestLost, nil},
		{wire.LoseReply, wire.ErrReplyLost, []string{"hello"}},
	} {
		var arrived []string
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			arrived = append(arrived, string(body))
		}))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/namespaces", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		var counter wire.Counter
		res, err := clientFor(t, server.URL, counter.Tap, c.tap).Do(r)
		if err == nil {
			res.Body.Close()
		}
		if !errors.Is(err, c.err) {
			t.Errorf("error %v, want %v", err, c.err)
		}
		server.Close()
		if diff := cmp.Diff(c.want, arrived); diff != "" {
			t.Errorf("%v: arrived (-want +got):\n%s", c.err, diff)
		}
		if diff := cmp.Diff(map[string]int{"create namespaces": 1}, counter.Requests()); diff != "" {
			t.Errorf("%v: counted (-want +got):\n%s", c.err, diff)
		}
	}
}

func clientFor(t *testing.T, host string, taps ...wire.Tap) *http.Client {
	t.Helper()
	client, err := rest.HTTPClientFor(wire.Through(&rest.Config{Host: host}, taps...))
	if err != nil {
		t.Fatal(err)
	}
	return client
}
