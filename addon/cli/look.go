package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func (p *plugin) namespace(all bool) (string, error) {
	if all {
		return "", nil
	}
	namespace, _, err := p.flags.ToRawKubeConfigLoader().Namespace()
	return namespace, noCluster(err)
}

func noCluster(err error) error {
	if err != nil && clientcmd.IsEmptyConfig(err) {
		return fmt.Errorf("no kubeconfig names a cluster; set KUBECONFIG or --kubeconfig: %w", err)
	}
	return err
}

// connect returns the clients, and the namespace of the command line or the kubeconfig.
func (p *plugin) connect() (inspect.Clients, string, error) {
	config, err := p.flags.ToRESTConfig()
	if err != nil {
		return inspect.Clients{}, "", noCluster(err)
	}
	config.QPS = -1 // the API server's own limits suffice
	config.Wrap(p.dates.Through)
	namespace, err := p.namespace(false)
	if err != nil {
		return inspect.Clients{}, "", err
	}
	c, err := inspect.NewClients(config)
	return c, namespace, err
}

// look reads the queues and prints notes on what could not be read.
func (p *plugin) look(cmd *cobra.Command, scope inspect.Scope) ([]inspect.Queue, error) {
	clients, _, err := p.connect()
	if err != nil {
		return nil, err
	}
	scope.Addon = p.addon
	r, err := inspect.Read(cmd.Context(), clients, scope)
	if err != nil {
		return nil, err
	}
	tell(cmd.ErrOrStderr(), slices.Concat(r.Notes, r.Assumed()))
	queues := r.Queues(p.now())
	p.readRefusals(cmd, clients, scope.Namespace, queues)
	return queues, nil
}

// readRefusals adds why runs are not started that should be. Without it the rest is still true.
func (p *plugin) readRefusals(cmd *cobra.Command, clients inspect.Clients, namespace string, queues []inspect.Queue) {
	if err := inspect.ReadRefusals(cmd.Context(), clients, namespace, queues); err != nil {
		tell(cmd.ErrOrStderr(), []string{"Cannot read Events, which say why a run could not be started: " + err.Error()})
	}
}

// now is the time by the API server's clock after its first answer.
func (p *plugin) now() time.Time { return p.dates.Now(p.clock) }

func tell(out io.Writer, notes []string) {
	for _, n := range notes {
		fmt.Fprintln(out, "note:", n)
	}
}

// queue reads one queue, with the finished runs for estimates.
func (p *plugin) queue(cmd *cobra.Command, clients inspect.Clients, key queue.Key) (inspect.Queue, error) {
	r, err := inspect.Read(cmd.Context(), clients, inspect.Scope{Namespace: key.Namespace, Addon: p.addon, FinishedOf: key.Repository})
	if err != nil {
		return inspect.Queue{}, err
	}
	tell(cmd.ErrOrStderr(), slices.Concat(r.Notes, r.Assumed()))
	q, err := find(r, key, p.now())
	if err != nil {
		return q, err
	}
	found := []inspect.Queue{q}
	p.readRefusals(cmd, clients, key.Namespace, found)
	return found[0], nil
}

// errNoQueue says why there is no queue to show.
type errNoQueue struct{ error }

// find picks a queue of the namespace that was read. An errNoQueue says what exists instead.
func find(r *inspect.Reading, key queue.Key, now time.Time) (inspect.Queue, error) {
	var there []string
	for _, q := range r.Queues(now) {
		if q.Key() == key {
			return q, nil
		}
		there = append(there, q.Key().Repository)
	}
	none := func(format string, args ...any) (inspect.Queue, error) {
		return inspect.Queue{}, errNoQueue{fmt.Errorf(format, args...)}
	}
	for _, repository := range r.Repositories {
		if repository.Namespace == key.Namespace && repository.Name == key.Repository {
			return none("repository %s has no queue: neither it nor the global Repository sets a concurrency_limit, and no run waits", key)
		}
	}
	if len(there) == 0 {
		return none("there is no Repository %s in namespace %s, and no other with a queue; is it in another --namespace?",
			key.Repository, key.Namespace)
	}
	return none("there is no Repository %s in namespace %s; those with a queue are %s", key.Repository, key.Namespace,
		strings.Join(there, ", "))
}

// only is the one Repository of the namespace that has a queue.
func (p *plugin) only(cmd *cobra.Command) (string, error) {
	namespace, err := p.namespace(false)
	if err != nil {
		return "", err
	}
	queues, err := p.look(cmd, inspect.Scope{Namespace: namespace})
	if err != nil {
		return "", err
	}
	var there []string
	for _, q := range queues {
		there = append(there, q.Key().Repository)
	}
	switch len(there) {
	case 0:
		return "", fmt.Errorf("there is no queue in namespace %s; is it in another --namespace?", namespace)
	case 1:
		return there[0], nil
	default:
		return "", fmt.Errorf("name a Repository: namespace %s has %s", namespace, strings.Join(there, ", "))
	}
}
