package rights

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

// Accounts in the namespace of the add-on, of which the chart lets one scrape.
const (
	reader   = "prometheus"
	stranger = "stranger"
)

// ownMetric is a metric that every replica has.
const ownMetric = "pac_lease_queue_leader_buckets"

// scrapes is the work for metrics that authorized clients only may read.
func scrapes(p *pass) []step {
	return []step{
		{"a client without a token is refused", func(ctx context.Context) error {
			return p.scrape(ctx, "", http.StatusUnauthorized, "send a bearer token")
		}},
		{"a client with a token that is none is refused", func(ctx context.Context) error {
			return p.scrape(ctx, "forged", http.StatusUnauthorized, "send a bearer token")
		}},
		{"an account without the right is refused", func(ctx context.Context) error {
			return p.scrapeAs(ctx, stranger, http.StatusForbidden, "may not get the nonResourceURL /metrics")
		}},
		{"an account with the right scrapes", func(ctx context.Context) error {
			return p.scrapeAs(ctx, reader, http.StatusOK, ownMetric)
		}},
		// A server on every interface answers on all of 127.0.0.0/8, one on 127.0.0.1 does not.
		{"only the port with TLS is for other pods", func(ctx context.Context) error {
			if err := dial(ctx, p.replica().MetricsURL); err != nil {
				return err
			}
			if err := dial(ctx, p.replica().OpenMetricsURL); !errors.Is(err, syscall.ECONNREFUSED) {
				return fmt.Errorf("the port without TLS is open to others: %v", err)
			}
			body, status, err := get(ctx, p.replica().OpenMetricsURL, "")
			if err == nil && (status != http.StatusOK || !strings.Contains(body, ownMetric)) {
				err = fmt.Errorf("the port without TLS answers %d within the pod: %s", status, body)
			}
			return err
		}},
	}
}

// scrapeAs is scrape with a token of an account in the add-on's namespace.
func (p *pass) scrapeAs(ctx context.Context, account string, status int, words string) error {
	accounts := p.Kube.CoreV1().ServiceAccounts(p.namespaces[own])
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	answer, err := accounts.CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return p.scrape(ctx, answer.Status.Token, status, words)
}

// scrape waits until the replica answers a client that shows the token in a certain way.
func (p *pass) scrape(ctx context.Context, token string, status int, words string) error {
	return fixture.Until(ctx, func() error {
		body, got, err := get(ctx, p.replica().MetricsURL, token)
		if err == nil && (got != status || !strings.Contains(body, words)) {
			err = fmt.Errorf("a scrape is answered with %d %.200q, want %d and %q", got, body, status, words)
		}
		return err
	})
}

// get requests a URL without verifying the certificate, which the replica signs itself.
func get(ctx context.Context, address, token string) (body string, status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", 0, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	answer, err := client.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	return string(all), answer.StatusCode, err
}

// dial connects to the port of a URL on another address of this host.
func dial(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.2", u.Port()))
	if err != nil {
		return err
	}
	return conn.Close()
}
