package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

// The roles of an API server that has just come up are not read yet: a replica outlives that. One
// that lacks the right, or has no configuration, ends and says so.
func TestAwaitConfiguration(t *testing.T) {
	const (
		there   = `{"kind": "ConfigMap", "apiVersion": "v1"}`
		refused = `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}`
		missing = `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`
	)
	for name, c := range map[string]struct {
		answers func(up time.Duration) (code int, body string, err error)
		want    func(error) bool
		after   time.Duration
	}{
		"refused for a moment": {
			answers: func(up time.Duration) (int, string, error) {
				if up < 15*time.Second {
					return http.StatusForbidden, refused, nil
				}
				return http.StatusOK, there, nil
			},
			want: func(err error) bool { return err == nil }, after: 15 * time.Second,
		},
		"refused for a moment by a server that was away for long": {
			answers: func(up time.Duration) (int, string, error) {
				switch {
				case up < time.Minute:
					return 0, "", errors.New("connection refused")
				case up < 75*time.Second:
					return http.StatusForbidden, refused, nil
				}
				return http.StatusOK, there, nil
			},
			want: func(err error) bool { return err == nil }, after: 75 * time.Second,
		},
		"refused": {
			answers: func(time.Duration) (int, string, error) { return http.StatusForbidden, refused, nil },
			want:    apierrors.IsForbidden, after: configurationRefused,
		},
		"missing": {
			answers: func(time.Duration) (int, string, error) { return http.StatusNotFound, missing, nil },
			want:    apierrors.IsNotFound,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				server := &rest.Config{Host: "http://cluster", Transport: answering(func(*http.Request) (*http.Response, error) {
					code, body, err := c.answers(time.Since(began))
					if err != nil {
						return nil, err
					}
					header := http.Header{"Content-Type": {"application/json"}}
					return &http.Response{StatusCode: code, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
				})}
				err := awaitConfiguration(t.Context(), server, config.Environment{Namespace: "pac-lease-queue", ConfigMap: "config"})
				if !c.want(err) {
					t.Errorf("got the error %v", err)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("it took %s, want %s", took, c.after)
				}
			})
		})
	}
}

// answering is an API server without a network.
type answering func(*http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
