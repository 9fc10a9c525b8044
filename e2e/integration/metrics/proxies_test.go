package metrics

import (
	"net"
	"strconv"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// proxies carry the connections of the replicas to the API server, and can be cut.
type proxies struct {
	server    *toxiproxy.ApiServer
	ports     *process.Ports
	byReplica map[int]*toxiproxy.Proxy
}

func newProxies() (*proxies, error) {
	ports, err := process.ReservePorts()
	if err != nil {
		return nil, err
	}
	return &proxies{
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		ports:  ports, byReplica: map[int]*toxiproxy.Proxy{},
	}, nil
}

// via returns the address of a replica's proxy, which it starts when first called.
func (p *proxies) via(replica int, apiServer string) (string, error) {
	if proxy := p.byReplica[replica]; proxy != nil {
		return proxy.Listen, nil
	}
	port, err := p.ports.Take()
	if err != nil {
		return "", err
	}
	return p.open(replica, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), apiServer)
}

func (p *proxies) open(replica int, listen, apiServer string) (string, error) {
	proxy := toxiproxy.NewProxy(p.server, strconv.Itoa(replica), listen, apiServer)
	if err := proxy.Start(); err != nil {
		return "", err
	}
	p.byReplica[replica] = proxy
	return proxy.Listen, nil
}

// cut ends every connection of a replica and refuses new ones.
func (p *proxies) cut(replica int) { p.byReplica[replica].Stop() }

// mend lets a replica that was cut connect again.
func (p *proxies) mend(replica int) error {
	stopped := p.byReplica[replica]
	_, err := p.open(replica, stopped.Listen, stopped.Upstream)
	return err
}
