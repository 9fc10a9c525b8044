package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/go-logr/zapr"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/signals"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/access"
	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/follow"
	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
)

// boardOptions are the flags of the board.
type boardOptions struct {
	port       int
	probes     int
	namespaces []string
	addon      string
	console    string
	auth       string
	limits     board.Limits
}

func boardCommand() *cobra.Command {
	var o boardOptions
	c := &cobra.Command{
		Use:   "board",
		Short: "Serve the queues as web pages",
		Long: `Serve the queues as web pages, and the same as JSON (/api/v1/openapi.yaml). It only reads.

It serves plain HTTP: put it behind what ends TLS and signs readers in. With --auth=kubernetes,
it asks the API server who sends the bearer token of a request (or the header
X-Forwarded-Access-Token), and shows the namespaces whose PipelineRuns that user may list.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runBoard(signals.NewContext(), o) },
	}
	c.Flags().IntVar(&o.port, "port", 8080, "the port to serve on")
	c.Flags().IntVar(&o.probes, "probes-port", 0, "the port of the health probes, which readers cannot crowd out (default: none)")
	c.Flags().StringSliceVar(&o.namespaces, "namespaces", nil, "the namespaces whose queues are shown (default: all)")
	c.Flags().StringVar(&o.addon, "addon-namespace", "",
		"the namespace in which pac-lease-queue is installed (default: found by its labels)")
	c.Flags().StringVar(&o.console, "console", "",
		"the address of a started run in a console, with {{ namespace }} and {{ pr }}, to which readers are sent on")
	c.Flags().StringVar(&o.auth, "auth", authNone, "who may see queues: none lets every reader see all, kubernetes asks the API server")
	c.Flags().IntVar(&o.limits.Streams, "readers", 0, "how many pages may be open at a time (default 2000)")
	c.Flags().IntVar(&o.limits.PerSecond, "requests-per-second", 0, "how many requests one address may send per second (default 50)")
	return c
}

// Values of --auth.
const authNone, authKubernetes = "none", "kubernetes"

// boardAgain separates attempts to see the cluster.
const boardAgain = 3 * time.Second

func runBoard(ctx context.Context, o boardOptions) error {
	limitMemory()
	go giveBack(ctx)
	logger, _ := logging.NewLogger("", "info")
	defer func() { _ = logger.Sync() }()
	klog.SetLogger(zapr.NewLogger(logger.Named(config.Component + ".board").Desugar()))
	cluster, err := clusterConfig()
	if err != nil {
		return err
	}
	cluster.QPS = -1
	cluster.Wrap(paged.Through)
	clients, err := inspect.NewClients(cluster)
	if err != nil {
		return err
	}
	console, err := board.ParseConsole(o.console)
	if err != nil {
		return err
	}
	who, err := accessBy(o.auth, cluster)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(o.port))
	if err != nil {
		return fmt.Errorf("serve the board: %w", err)
	}
	b := board.New(board.Config{Clock: clock.RealClock{}, Access: who, Console: console, Limits: o.limits})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		followForBoard(ctx, b, follow.Config{Clients: clients, Namespaces: o.namespaces, Addon: o.addon})
		return nil
	})
	if o.probes != 0 {
		group.Go(func() error { return serve(ctx, o.probes, b.Probes()) })
	}
	group.Go(func() error { return b.Serve(ctx, listener) })
	return group.Wait()
}

func accessBy(auth string, cluster *rest.Config) (access.Access, error) {
	switch auth {
	case authNone:
		return access.All{}, nil
	case authKubernetes:
		return access.NewKubernetes(cluster, clock.RealClock{})
	default:
		return nil, fmt.Errorf("--auth is %q; it must be %s or %s", auth, authNone, authKubernetes)
	}
}

// followForBoard has the board see the cluster, as soon as that can be seen.
func followForBoard(ctx context.Context, b *board.Board, c follow.Config) {
	told := ""
	_ = wait.PollUntilContextCancel(ctx, boardAgain, true, func(ctx context.Context) (bool, error) {
		attempt, stop := context.WithCancel(ctx)
		err := b.Follow(attempt, c)
		if err == nil {
			context.AfterFunc(ctx, stop)
			return true, nil
		}
		stop()
		if err.Error() != told {
			told = err.Error()
			klog.Background().Error(err, "Cannot see the queues yet; trying again")
		}
		return false, nil
	})
}
