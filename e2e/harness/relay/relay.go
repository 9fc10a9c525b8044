// Package relay brings the taps of package wire to programs that are not ours: it
// stands before the API server, and their kubeconfig leads to it.
package relay

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// Relay is an HTTPS server on loopback that passes requests on to an API server.
type Relay struct {
	server *httptest.Server
}

// New starts a relay to the API server of a configuration, of whose user it makes
// no use: whoever asks, asks with their own token. Every request passes the taps;
// what they lose is answered as a load balancer answers when the server behind it
// does not: 504, which client-go does not repeat.
func New(config *rest.Config, taps ...wire.Tap) (*Relay, error) {
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("relay to %q: %w", config.Host, err)
	}
	transport, err := rest.TransportFor(wire.Through(rest.AnonymousClientConfig(config), taps...))
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", config.Host, err)
	}
	quiet := log.New(io.Discard, "", 0) // clients that get killed are the point
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorHandler:  unanswered,
		ErrorLog:      quiet,
	})
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet
	server.StartTLS()
	return &Relay{server: server}, nil
}

// unanswered answers in place of the API server.
func unanswered(w http.ResponseWriter, _ *http.Request, err error) {
	status := apierrors.NewTimeoutError(err.Error(), 0).Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	_ = json.NewEncoder(w).Encode(status) // perhaps nobody listens any more
}

// Kubeconfig copies a kubeconfig file so that it leads through the relay.
func (r *Relay) Kubeconfig(from, to string) error {
	config, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return err
	}
	for _, cluster := range config.Clusters {
		cluster.Server = r.server.URL
		cluster.CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
	}
	return clientcmd.WriteToFile(*config, to)
}

// Close ends the relay and cuts whoever is still connected off.
func (r *Relay) Close() {
	_ = r.server.Config.Close() // at once: a watch would never end by itself
	r.server.Close()
}
