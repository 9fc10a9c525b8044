package main

import (
	"context"

	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/admission"
	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

// serveHold serves the hold for as long as the program runs; the program ends if it cannot.
func serveHold(ctx context.Context, w config.Webhook) *admission.Server {
	logger := logging.FromContext(ctx)
	server, err := admission.Start(ctx, kubeclient.Get(ctx), admission.Options{
		Configuration: w.Configuration, Service: w.Service, Secret: w.Secret, Port: w.Port,
	})
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
