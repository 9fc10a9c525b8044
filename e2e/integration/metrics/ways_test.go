package metrics

import (
	"net"
	"strconv"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// ways are those of the replicas to the API server, which can be cut.
type ways struct {
	server *toxiproxy.ApiServer
	ports  *process.Ports
	of     map[int]*toxiproxy.Proxy // by replica
}

func newWays() (*ways, error) {
	ports, err := process.ReservePorts()
	if err != nil {
		return nil, err
	}
	return &ways{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), ports: ports, of: map[int]*toxiproxy.Proxy{}}, nil
}

// via makes the way of a replica.
func (w *ways) via(replica int, apiServer string) (string, error) {
	if way := w.of[replica]; way != nil {
		return way.Listen, nil
	}
	port, err := w.ports.Take()
	if err != nil {
		return "", err
	}
	return w.open(replica, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), apiServer)
}

func (w *ways) open(replica int, listen, apiServer string) (string, error) {
	way := toxiproxy.NewProxy(w.server, strconv.Itoa(replica), listen, apiServer)
	if err := way.Start(); err != nil {
		return "", err
	}
	w.of[replica] = way
	return way.Listen, nil
}

// cut ends every connection of a replica and lets it make no other.
func (w *ways) cut(replica int) { w.of[replica].Stop() }

// mend opens a way that was cut.
func (w *ways) mend(replica int) error {
	was := w.of[replica]
	_, err := w.open(replica, was.Listen, was.Upstream)
	return err
}
