package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pac-lease-queue/pac-lease-queue/addon/release"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and the commit it was built from",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "pac-lease-queue %s (commit %s)\n", release.Version, release.Commit())
		},
	}
}
