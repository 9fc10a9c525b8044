package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/admission"
)

func TestWebhookOptions(t *testing.T) {
	for name, c := range map[string]struct {
		hold, service, secret, port string
		want                        *admission.Options
		says                        []string // of an error
	}{
		"no webhook":    {service: "s", secret: "c", port: "nonsense"},
		"a webhook":     {"h", "s", "c", "8443", &admission.Options{Configuration: "h", Service: "s", Secret: "c", Port: 8443}, nil},
		"nothing else":  {"h", "", "", "", nil, []string{"HOLD_WEBHOOK asks for", "WEBHOOK_SERVICE is not set", "WEBHOOK_SECRET is not set", "WEBHOOK_PORT is not set"}},
		"not a number":  {"h", "s", "c", "https", nil, []string{`WEBHOOK_PORT is "https", not a port number`}},
		"out of range":  {"h", "s", "c", "65536", nil, []string{`WEBHOOK_PORT is "65536", not a port number`}},
		"no such port":  {"h", "s", "c", "0", nil, []string{`WEBHOOK_PORT is "0", not a port number`}},
		"negative port": {"h", "s", "c", "-1", nil, []string{`WEBHOOK_PORT is "-1", not a port number`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(holdWebhook, c.hold)
			t.Setenv(webhookService, c.service)
			t.Setenv(webhookSecret, c.secret)
			t.Setenv(webhookPort, c.port)
			got, err := webhookOptions()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (err == nil) != (c.says == nil) {
				t.Fatalf("the error is %v", err)
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("the error %q does not say %q", err, says)
				}
			}
		})
	}
}
