// Command pac-lease-queue keeps the concurrency queues of Pipelines-as-Code in
// Leases.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:           "pac-lease-queue",
		Short:         "Keeps the concurrency queues of Pipelines-as-Code in Leases",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(controllerCommand(), checkCommand(), handBackCommand(), versionCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "pac-lease-queue:", err)
		os.Exit(1)
	}
}
