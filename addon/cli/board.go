package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/cli/browser"
	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/access"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/follow"
)

// defaultPort is where the board is served on the user's machine.
const defaultPort = 8390

func (p *plugin) boardCommand() *cobra.Command {
	var all, stay bool
	var port int
	var console string
	c := &cobra.Command{
		Use:   "board",
		Short: "Show the queues in a browser",
		Long: `Show the queues in a browser, live: all of a namespace, or of all namespaces with -A. The pages
are served on this machine only, with what the rights of your kubeconfig show: get, list and watch on
Repositories, RunQueues, PipelineRuns and Leases. It ends with Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := board.ParseConsole(console)
			if err != nil {
				return err
			}
			return p.board(cmd, all, port, to, !stay)
		},
	}
	c.Flags().BoolVarP(&all, "all-namespaces", "A", false, "show the queues of all namespaces")
	c.Flags().IntVar(&port, "port", defaultPort, "the port to serve the pages on; 0 for any that is free")
	c.Flags().BoolVar(&stay, "no-open", false, "open no browser")
	c.Flags().StringVar(&console, "console", "", "the address of a started run in a console, with {{ namespace }} and {{ pr }}")
	return c
}

func (p *plugin) board(cmd *cobra.Command, all bool, port int, console *board.Console, open bool) error {
	clients, _, err := p.connect()
	if err != nil {
		return err
	}
	namespace, err := p.namespace(all)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is in use; set another --port, or 0 for any that is free: %w", port, err)
	}
	if err != nil {
		return err
	}
	port = listener.Addr().(*net.TCPAddr).Port
	var hosts []string
	for _, host := range []string{"localhost", "127.0.0.1"} {
		hosts = append(hosts, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	b := board.New(board.Config{Clock: clock.RealClock{}, Access: access.All{}, Console: console, Hosts: hosts})
	of := follow.Config{Clients: clients, Addon: p.addon}
	if namespace != "" {
		of.Namespaces = []string{namespace}
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	if err := b.Follow(ctx, of); err != nil {
		_ = listener.Close()
		return err
	}
	address := "http://" + hosts[0] + "/"
	fmt.Fprintf(cmd.OutOrStdout(), "The board is at %s until you press Ctrl-C.\n", address)
	if open {
		browser.Stdout = cmd.ErrOrStderr()
		if err := browser.OpenURL(address); err != nil {
			tell(cmd.ErrOrStderr(), []string{"No browser could be opened: " + err.Error()})
		}
	}
	return b.Serve(ctx, listener)
}
