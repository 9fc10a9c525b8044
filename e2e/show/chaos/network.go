package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// proxyDeadline bounds toxiproxy's calls. It deadlocks when a connection ends at the very moment in
// which a toxic is added to it.
const proxyDeadline = 5 * time.Second

// network is the route of each replica to the API server.
type network struct {
	server *toxiproxy.ApiServer
	ports  *process.Ports

	mu     sync.Mutex
	routes map[int]*toxiproxy.Proxy // by replica
}

func newNetwork() (*network, error) {
	ports, err := process.ReservePorts()
	if err != nil {
		return nil, err
	}
	return &network{
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		ports:  ports,
		routes: map[int]*toxiproxy.Proxy{},
	}, nil
}

// close cuts every route.
func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, route := range n.routes {
		_ = inTime(func() error { route.Stop(); return nil }) // the program is about to exit
	}
	n.ports.Release()
}

// via opens the route of a replica and returns its address.
func (n *network) via(replica int, server string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if route := n.routes[replica]; route != nil {
		return route.Listen, nil
	}
	port, err := n.ports.Take()
	if err != nil {
		return "", err
	}
	return n.open(replica, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), server)
}

func (n *network) open(replica int, listen, server string) (string, error) {
	route := toxiproxy.NewProxy(n.server, strconv.Itoa(replica), listen, server)
	if err := route.Start(); err != nil {
		return "", err
	}
	n.routes[replica] = route
	return route.Listen, nil
}

// harm adds toxics to the route of a replica, existing connections included.
func (n *network) harm(replica int, harms []toxics.ToxicWrapper) error {
	n.mu.Lock()
	route := n.routes[replica]
	n.mu.Unlock()
	for _, harm := range harms {
		description, err := json.Marshal(harm)
		if err != nil {
			return err
		}
		if err := inTime(func() error {
			_, err := route.Toxics.AddToxicJson(bytes.NewReader(description))
			return err
		}); err != nil {
			return fmt.Errorf("toxic %s: %w", description, err)
		}
	}
	return nil
}

// heal replaces the route of a replica. Requests in flight are lost along with their connections,
// as when a broken network is routed around. Removing a toxic from a live connection would deadlock
// toxiproxy.
func (n *network) heal(replica int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.routes[replica]
	if err := inTime(func() error { old.Stop(); return nil }); err != nil {
		return fmt.Errorf("closing the old route of replica %d: %w", replica, err)
	}
	_, err := n.open(replica, old.Listen, old.Upstream)
	return err
}

// inTime returns the result of do, or an error if that takes too long.
func inTime(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(proxyDeadline):
		return errors.New("toxiproxy did not return within " + proxyDeadline.String())
	}
}

// toxiproxy's names for the directions.
const (
	requests = "upstream"
	replies  = "downstream"
)

func toxic(direction, kind string, attributes toxics.Toxic) toxics.ToxicWrapper {
	return toxics.ToxicWrapper{Name: kind + " " + direction, Type: kind, Stream: direction, Toxicity: 1, Toxic: attributes}
}

func delay(direction string, by, jitter time.Duration) toxics.ToxicWrapper {
	return toxic(direction, "latency", &toxics.LatencyToxic{Latency: by.Milliseconds(), Jitter: jitter.Milliseconds()})
}

// drop keeps connections open and lets nothing through.
func drop(direction string) toxics.ToxicWrapper {
	return toxic(direction, "timeout", &toxics.TimeoutToxic{})
}

// cut closes a connection after a number of bytes.
func cut(direction string, after int64) toxics.ToxicWrapper {
	return toxic(direction, "limit_data", &toxics.LimitDataToxic{Bytes: after})
}

// reset resets a connection at the first byte.
func reset(direction string) toxics.ToxicWrapper {
	return toxic(direction, "reset_peer", &toxics.ResetToxic{})
}
