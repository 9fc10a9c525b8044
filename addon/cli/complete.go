package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
)

// completeRepositories completes the name of a Repository with a queue.
func (p *plugin) completeRepositories(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.complete(cmd, args, begun, func(q inspect.Queue) []string { return []string{q.Key().Repository} })
}

// completeRuns completes the name of a run that is not over.
func (p *plugin) completeRuns(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.complete(cmd, args, begun, func(q inspect.Queue) []string {
		var names []string
		for _, is := range q.Runs {
			names = append(names, is.Run.Name)
		}
		return names
	})
}

func (p *plugin) complete(
	cmd *cobra.Command, args []string, begun string, of func(inspect.Queue) []string,
) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	clients, namespace, err := p.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	r, err := inspect.Read(cmd.Context(), clients, inspect.Scope{Namespace: namespace, Addon: p.addon})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, q := range r.Queues(p.now()) {
		for _, name := range of(q) {
			if strings.HasPrefix(name, begun) {
				names = append(names, name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
