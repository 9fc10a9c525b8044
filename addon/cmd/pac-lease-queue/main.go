// Command pac-lease-queue keeps the concurrency queues of Pipelines-as-Code in
// Leases.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

func main() {
	if command, is := cli.Called(os.Args); is {
		if err := command.Execute(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", report.Plain(err.Error()))
			os.Exit(cli.ExitCode(err))
		}
		return
	}
	root := &cobra.Command{
		Use:           "pac-lease-queue",
		Short:         "Keeps the concurrency queues of Pipelines-as-Code in Leases",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(controllerCommand(), boardCommand(), checkCommand(), handBackCommand(), cli.Command(""), versionCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "pac-lease-queue:", report.Plain(err.Error()))
		os.Exit(cli.ExitCode(err))
	}
}
