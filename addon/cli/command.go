package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/live"
	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/screen"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/doctor"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

// Names by which kubectl and tkn find the program as a plugin.
var names = map[string]string{
	"kubectl-pac_queue": "kubectl pac-queue",
	"kubectl-pac-queue": "kubectl pac queue",
	"tkn-queue":         "tkn queue",
}

// completer is what kubectl calls to complete the arguments of the plugin.
const completer = "kubectl_complete-pac_queue"

// Called returns the plugin if the program was called by one of its names.
func Called(args []string) (c *cobra.Command, is bool) {
	program, rest := strings.TrimSuffix(filepath.Base(args[0]), ".exe"), args[1:]
	if program == completer {
		program, rest = "kubectl-pac_queue", append([]string{cobra.ShellCompRequestCmd}, rest...)
	}
	display, is := names[program]
	if !is {
		return nil, false
	}
	c = Command(display)
	c.Use = program // what shells complete
	c.SetArgs(rest)
	return c, true
}

// plugin is the state that the commands share.
type plugin struct {
	flags  *genericclioptions.ConfigFlags
	addon  string
	output string
	clock  clock.Clock
	dates  doctor.Dates
}

// Command returns the plugin. display is the command line by which users call it.
func Command(display string) *cobra.Command {
	p := &plugin{flags: genericclioptions.NewConfigFlags(true), clock: clock.RealClock{}}
	root := &cobra.Command{
		Use:   "queue",
		Short: "Show and shape the queues of Pipelines-as-Code",
		Long: `Show the queues of Pipelines-as-Code, and why runs wait; pause a queue, and have runs go first.

The commands read the cluster with the rights of your kubeconfig: get and list on Repositories,
RunQueues, PipelineRuns and Leases. They work even when the add-on does not. Those that write need
patch on RunQueues, or on PipelineRuns.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: display},
	}
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop) // a second one ends the program
		cmd.SetContext(ctx)
		cmd.SetErr(report.PlainWriter{To: cmd.ErrOrStderr()})
		if cmd.Name() != "watch" { // it draws on the terminal, and sees to its texts itself
			cmd.SetOut(report.PlainWriter{To: cmd.OutOrStdout()})
		}
	}
	p.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&p.addon, "addon-namespace", "",
		"the namespace in which pac-lease-queue is installed (default: found by its labels)")
	root.AddCommand(p.listCommand(), p.describeCommand(), p.runCommand(), p.watchCommand(), p.boardCommand(),
		p.pauseCommand(), p.resumeCommand(), p.prioritizeCommand(), p.cancelCommand(), p.doctorCommand(), p.versionCommand())
	return root
}

func (p *plugin) listCommand() *cobra.Command {
	var all, noHeaders, follow bool
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the queues of a namespace, or of all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			namespace, err := p.namespace(all)
			if err != nil {
				return err
			}
			if follow && structured(p.output) {
				return fmt.Errorf("--watch prints a table; for documents, list without it, or watch one queue with -o json")
			}
			if follow {
				return p.follow(cmd, namespace, func(queues []inspect.Queue, first bool) error {
					return printTable(cmd.OutOrStdout(), listTable(queues, all), p.output == asWide, noHeaders || !first)
				})
			}
			queues, err := p.look(cmd, inspect.Scope{Namespace: namespace})
			if err != nil {
				return err
			}
			if structured(p.output) {
				var views []view.Queue
				for _, q := range queues {
					views = append(views, q.View())
				}
				return p.encode(cmd.OutOrStdout(), view.NewList(views), queueNames(queues)...)
			}
			if len(queues) == 0 {
				where := "namespace " + namespace + " (-A lists all namespaces)"
				if all {
					where = "any namespace"
				}
				_, err := fmt.Fprintf(cmd.ErrOrStderr(), "No queues in %s. A Repository with a concurrency_limit has one.\n", where)
				return err
			}
			return printTable(cmd.OutOrStdout(), listTable(queues, all), p.output == asWide, noHeaders)
		},
	}
	c.Flags().BoolVarP(&all, "all-namespaces", "A", false, "list the queues of all namespaces")
	c.Flags().BoolVar(&noHeaders, "no-headers", false, "print no header row")
	c.Flags().BoolVarP(&follow, "watch", "w", false, "after listing, print every queue that changes")
	p.outputFlag(c, append([]string{asWide}, anyDocument...)...)
	return c
}

func (p *plugin) describeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:               "describe REPOSITORY",
		Short:             "Show one queue: its slots, and the runs in line",
		Args:              exactly("a Repository"),
		ValidArgsFunction: p.completeRepositories,
		RunE: func(cmd *cobra.Command, args []string) error {
			clients, namespace, err := p.connect()
			if err != nil {
				return err
			}
			q, err := p.queue(cmd, clients, queue.Key{Namespace: namespace, Repository: args[0]})
			if err != nil {
				return err
			}
			if structured(p.output) {
				v := q.View()
				v.TypeMeta = view.Kind("Queue")
				return p.encode(cmd.OutOrStdout(), v, queueNames([]inspect.Queue{q})...)
			}
			return describe(cmd.OutOrStdout(), q)
		},
	}
	p.outputFlag(c, anyDocument...)
	return c
}

func (p *plugin) runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:               "run RUN",
		Short:             "Show where a run stands, and why it waits",
		Args:              exactly("a PipelineRun"),
		ValidArgsFunction: p.completeRuns,
		RunE:              func(cmd *cobra.Command, args []string) error { return p.run(cmd, args[0]) },
	}
	p.outputFlag(c, anyDocument...)
	return c
}

func (p *plugin) watchCommand() *cobra.Command {
	var every time.Duration
	c := &cobra.Command{
		Use:   "watch [REPOSITORY]",
		Short: "Watch a queue",
		Long: `Watch a queue: its slots, the runs in line and the runs that are done. On a terminal it
redraws one picture, in which you can scroll, until you press q; elsewhere it prints a line for each
change, or a document with -o json.
REPOSITORY may be left out in a namespace with one queue.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: p.completeRepositories,
		RunE:              func(cmd *cobra.Command, args []string) error { return p.watch(cmd, args, every) },
	}
	c.Flags().DurationVar(&every, "interval", time.Second, "the least time between two looks")
	p.outputFlag(c, asJSON)
	return c
}

func (p *plugin) watch(cmd *cobra.Command, args []string, every time.Duration) error {
	const least = 100 * time.Millisecond
	if every < least {
		return fmt.Errorf("--interval is %s; set %s or more", every, least)
	}
	var repository string
	if len(args) > 0 {
		repository = args[0]
	} else {
		only, err := p.only(cmd)
		if err != nil {
			return err
		}
		repository = only
	}
	clients, namespace, err := p.connect()
	if err != nil {
		return err
	}
	w := &watcher{
		clock: p.clock, every: every, changed: inspect.Changes(cmd.Context(), clients, namespace),
		look: func(ctx context.Context) (inspect.Queue, error) {
			r, err := inspect.Read(ctx, clients, inspect.Scope{Namespace: namespace, Addon: p.addon})
			if err != nil {
				return inspect.Queue{}, err
			}
			return find(r, queue.Key{Namespace: namespace, Repository: repository}, p.now())
		},
		ended: func(ctx context.Context, run queue.Run) (inspect.Done, bool, error) {
			return inspect.ReadEnded(ctx, clients, namespace, run)
		},
	}
	warn := func(err error) { fmt.Fprintf(cmd.ErrOrStderr(), "%v; trying again\n", err) }
	if structured(p.output) {
		docs, ctx := &documents{out: cmd.OutOrStdout()}, cmd.Context()
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		err := w.run(ctx, func(q inspect.Queue) {
			if err := docs.show(q); err != nil {
				stop(err)
			}
		}, warn)
		if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		return err
	}
	again := func(err error) string { return report.Plain(err.Error()) + "; trying again" }
	out := cmd.OutOrStdout()
	if file, ok := out.(*os.File); ok && screen.New(file).Live() {
		follow := func(ctx context.Context, show func(picture.Picture), say func(string)) error {
			return w.run(ctx, func(q inspect.Queue) { show(draw(q, w.began)) }, func(err error) { say(again(err)) })
		}
		return live.Run(cmd.Context(), cmd.InOrStdin(), file, follow)
	}
	show := screen.Lines(out)
	defer show.Close()
	return w.run(cmd.Context(), func(q inspect.Queue) { show.Show(draw(q, w.began)) },
		func(err error) { show.Say("%s", again(err)) })
}

func (p *plugin) doctorCommand() *cobra.Command {
	var all, fix bool
	var settle time.Duration
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong, and say what repairs it",
		Long: `Find what is wrong, and say what repairs it. doctor examines Leases, runs, policies, rights,
clocks, the configuration and the version of Pipelines-as-Code. What the add-on repairs by
itself counts only if it is still there after --settle. With --fix, doctor makes the repairs
that can neither start a run nor give a slot away. It exits with 1 if a problem is left, and with 2
if it could not look.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clients, namespace, err := p.connect()
			if err != nil {
				return err
			}
			if all || !flagGiven(p.flags.Namespace) {
				namespace = ""
			}
			d := &doctor.Doctor{Clients: clients, Dates: &p.dates, Clock: p.clock, Settle: settle}
			found, err := d.Examine(cmd.Context(), inspect.Scope{Namespace: namespace, Addon: p.addon})
			if err != nil {
				return err
			}
			if fix {
				d.Fix(cmd.Context(), found)
			}
			if structured(p.output) {
				err = p.encode(cmd.OutOrStdout(), found)
			} else {
				err = found.Print(cmd.OutOrStdout())
			}
			return errors.Join(err, found.Err())
		},
	}
	c.Flags().BoolVarP(&all, "all-namespaces", "A", false, "examine the queues of all namespaces (default unless --namespace is given)")
	c.Flags().BoolVar(&fix, "fix", false, "make the repairs that are safe")
	c.Flags().DurationVar(&settle, "settle", 3*time.Second, "how long the add-on may take to repair what it repairs by itself")
	p.outputFlag(c, asJSON, asYAML)
	return c
}

func flagGiven(value *string) bool { return value != nil && *value != "" }

// exactly requires one argument and names it in the error.
func exactly(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("name %s: %s", what, cmd.UseLine())
		}
		return nil
	}
}
