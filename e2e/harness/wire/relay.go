package wire

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
)

// Relay is an HTTPS server on loopback that passes requests on to an API server, through taps.
type Relay struct {
	server *httptest.Server
}

// NewRelay starts a relay to the API server of a configuration. The configuration's user is not
// used: every client comes with a token of its own. A request that a tap loses gets the answer of a
// load balancer whose backend does not reply: 504, which client-go does not retry.
func NewRelay(config *rest.Config, taps ...Tap) (*Relay, error) {
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("relay to %q: %w", config.Host, err)
	}
	transport, err := rest.TransportFor(Through(rest.AnonymousClientConfig(config), taps...))
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", config.Host, err)
	}
	quiet := log.New(io.Discard, "", 0) // tests kill the clients, and the server would log each
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorHandler:  timedOut,
		ErrorLog:      quiet,
	})
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet
	server.StartTLS()
	return &Relay{server: server}, nil
}

// timedOut answers in place of the API server.
func timedOut(w http.ResponseWriter, _ *http.Request, err error) {
	status := apierrors.NewTimeoutError(err.Error(), 0).Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	_ = json.NewEncoder(w).Encode(status) // the client may have gone
}

// Kubeconfig writes a copy of a kubeconfig file whose clusters are reached through the relay.
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

// Close ends the relay and cuts every open connection.
func (r *Relay) Close() {
	_ = r.server.Config.Close() // before the server's Close, which waits for watches to end
	r.server.Close()
}
