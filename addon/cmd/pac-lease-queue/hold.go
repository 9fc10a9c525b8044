package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/admission"
)

// Environment variables of the hold as a webhook.
const (
	holdWebhook    = "HOLD_WEBHOOK" // empty: no webhook is served
	webhookService = "WEBHOOK_SERVICE"
	webhookSecret  = "WEBHOOK_SECRET"
	webhookPort    = "WEBHOOK_PORT"
)

// webhookOptions reads them; nil means that no webhook is to be served.
func webhookOptions() (*admission.Options, error) {
	o := admission.Options{
		Configuration: os.Getenv(holdWebhook),
		Service:       os.Getenv(webhookService),
		Secret:        os.Getenv(webhookSecret),
	}
	if o.Configuration == "" {
		return nil, nil
	}
	var errs []error
	if o.Service == "" {
		errs = append(errs, fmt.Errorf("%s is not set: it must name the Service by which the API server reaches the webhook", webhookService))
	}
	if o.Secret == "" {
		errs = append(errs, fmt.Errorf("%s is not set: it must name the Secret for the webhook's certificate", webhookSecret))
	}
	port, err := portOf(webhookPort, 0)
	if err == nil && port == 0 {
		err = fmt.Errorf("%s is not set: it must say on which port the webhook is served", webhookPort)
	}
	o.Port = port
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("%s asks for the hold as a webhook: %w", holdWebhook, err)
	}
	return &o, nil
}

// serveHold serves the hold for as long as the program runs, which without it ends.
func serveHold(ctx context.Context, o admission.Options) *admission.Server {
	logger := logging.FromContext(ctx)
	server, err := admission.Start(ctx, kubeclient.Get(ctx), o)
	if err != nil {
		logger.Fatalw("Cannot serve the hold", "error", err)
	}
	go func() {
		if err := server.Wait(); err != nil {
			logger.Fatalw("Cannot serve the hold any more", "error", err)
		}
	}()
	return server
}

// portOf reads a port number.
func portOf(variable string, otherwise int) (int, error) {
	value := os.Getenv(variable)
	if value == "" {
		return otherwise, nil
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%s is %q, not a port number", variable, value)
	}
	return int(port), nil
}
