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

// proxyDeadline is for toxiproxy to do what it is told. It can lock itself up when
// a connection ends at the very moment at which a toxic is put on it.
const proxyDeadline = 5 * time.Second

// network is the way of each replica to the API server.
type network struct {
	server *toxiproxy.ApiServer
	ports  *process.Ports

	mu   sync.Mutex
	ways map[int]*toxiproxy.Proxy // by replica
}

func newNetwork() (*network, error) {
	ports, err := process.ReservePorts()
	if err != nil {
		return nil, err
	}
	return &network{
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		ports:  ports,
		ways:   map[int]*toxiproxy.Proxy{},
	}, nil
}

// close cuts every way.
func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, way := range n.ways {
		_ = inTime(func() error { way.Stop(); return nil }) // this program ends anyway
	}
	n.ports.Release()
}

// via makes the way of a replica.
func (n *network) via(replica int, server string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if way := n.ways[replica]; way != nil {
		return way.Listen, nil
	}
	port, err := n.ports.Take()
	if err != nil {
		return "", err
	}
	return n.open(replica, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), server)
}

func (n *network) open(replica int, listen, server string) (string, error) {
	way := toxiproxy.NewProxy(n.server, strconv.Itoa(replica), listen, server)
	if err := way.Start(); err != nil {
		return "", err
	}
	n.ways[replica] = way
	return way.Listen, nil
}

// harm puts toxics on the way of a replica, connections that exist included.
func (n *network) harm(replica int, harms []toxics.ToxicWrapper) error {
	n.mu.Lock()
	way := n.ways[replica]
	n.mu.Unlock()
	for _, harm := range harms {
		description, err := json.Marshal(harm)
		if err != nil {
			return err
		}
		if err := inTime(func() error {
			_, err := way.Toxics.AddToxicJson(bytes.NewReader(description))
			return err
		}); err != nil {
			return fmt.Errorf("toxic %s: %w", description, err)
		}
	}
	return nil
}

// heal gives the replica a new way in place of the old one. What is under way is
// lost along with its connection, as when a broken network is routed around;
// taking a toxic off a live connection is what toxiproxy locks itself up over.
func (n *network) heal(replica int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.ways[replica]
	if err := inTime(func() error { old.Stop(); return nil }); err != nil {
		return fmt.Errorf("the old way of replica %d: %w", replica, err)
	}
	_, err := n.open(replica, old.Listen, old.Upstream)
	return err
}

// inTime returns what do returns, or an error when that takes too long.
func inTime(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(proxyDeadline):
		return errors.New("toxiproxy did not answer within " + proxyDeadline.String())
	}
}

// The directions as toxiproxy calls them.
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

// drop lets connections stand and nothing through.
func drop(direction string) toxics.ToxicWrapper {
	return toxic(direction, "timeout", &toxics.TimeoutToxic{})
}

// cut ends a connection after so many bytes.
func cut(direction string, after int64) toxics.ToxicWrapper {
	return toxic(direction, "limit_data", &toxics.LimitDataToxic{Bytes: after})
}

// reset ends a connection with a reset at the first byte.
func reset(direction string) toxics.ToxicWrapper {
	return toxic(direction, "reset_peer", &toxics.ResetToxic{})
}
