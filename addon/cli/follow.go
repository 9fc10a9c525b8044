package cli

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// leastPause is between two reads of all queues.
const leastPause = time.Second

// follow prints all queues of a namespace (all, if it is empty), and then those that change, until
// the context ends.
func (p *plugin) follow(cmd *cobra.Command, namespace string, print func(queues []inspect.Queue, first bool) error) error {
	clients, _, err := p.connect()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	changed := inspect.Changes(ctx, clients, namespace)
	printed := map[queue.Key]string{}
	for first := true; ; first = false {
		r, err := inspect.Read(ctx, clients, inspect.Scope{Namespace: namespace, Addon: p.addon})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			fmt.Fprintf(cmd.ErrOrStderr(), "%v; trying again\n", err)
		default:
			if first {
				tell(cmd.ErrOrStderr(), slices.Concat(r.Notes, r.Assumed()))
			}
			var news []inspect.Queue
			for _, q := range r.Queues(p.now()) {
				if is := countsOf(q); printed[q.Key()] != is {
					printed[q.Key()], news = is, append(news, q)
				}
			}
			if len(news) > 0 || first {
				if err := print(news, first); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.clock.After(leastPause):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// countsOf is what the list has of a queue, but for what only time changes.
func countsOf(q inspect.Queue) string {
	next := none
	for _, is := range q.Runs {
		if is.State() == queue.StateQueued {
			next = is.Run.Name
			break
		}
	}
	return fmt.Sprint(limitText(q), q.Count(queue.StateQueued), q.Count(queue.StateClaimed), q.Count(queue.StateStarted), next,
		q.Spec.Paused)
}
