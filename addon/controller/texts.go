package controller

import (
	"fmt"
	"net"
	"time"

	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/typed/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"knative.dev/pkg/system"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/metrics"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/pace"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

const (
	// textTimeout bounds a request for a text: the others of the replica wait for its end.
	textTimeout = 30 * time.Second
	// dialTimeout and keepAlive are client-go's own.
	dialTimeout, keepAlive = 30 * time.Second, 30 * time.Second
)

// textClients write what is for people only, over a connection of their own: no start waits on a
// connection behind texts.
type textClients struct {
	events    typedcorev1.EventInterface
	runs      tektonclient.PipelineRunsGetter
	runQueues *runqueue.Client
}

func newTextClients(shared *rest.Config) (*textClients, error) {
	own := rest.CopyConfig(shared)
	own.Timeout = textTimeout
	if own.Dial == nil {
		own.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	}
	// client-go shares connections between configurations that are alike, and counts each use of a
	// dialer as another: one client for all kinds.
	client, err := rest.HTTPClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("client for texts: %w", err)
	}
	core, err := typedcorev1.NewForConfigAndClient(own, client)
	if err != nil {
		return nil, fmt.Errorf("client for events: %w", err)
	}
	tekton, err := tektonclient.NewForConfigAndClient(own, client)
	if err != nil {
		return nil, fmt.Errorf("client for annotations: %w", err)
	}
	runQueues, err := runqueue.NewClientOver(own, client)
	if err != nil {
		return nil, err
	}
	return &textClients{events: core.Events(""), runs: tekton, runQueues: runQueues}, nil
}

func newRecorder(c *textClients, clk clock.Clock, texts *pace.Pace, counts *metrics.Metrics) *event.Recorder {
	return event.NewRecorder(event.Config{
		Cluster: &typedcorev1.EventSinkImpl{Interface: c.events},
		Source:  corev1.EventSource{Component: config.Component, Host: system.PodName()},
		Clock:   clk, Pace: texts, LeftOut: counts.LeftOut,
	})
}
