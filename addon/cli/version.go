package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/release"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/view"
)

func (p *plugin) versionCommand() *cobra.Command {
	var clientOnly bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of what is installed in the cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := view.Versions{Client: view.Version{Version: release.Version, Commit: release.Commit()}}
			v.TypeMeta = view.Kind("Versions")
			var unseen error
			if !clientOnly {
				v.Installations, unseen = p.installed(cmd)
			}
			if structured(p.output) {
				if err := p.encode(cmd.OutOrStdout(), v); err != nil {
					return err
				}
				return unseen
			}
			out := newFields(cmd.OutOrStdout())
			out.field("Client", fmt.Sprintf("%s (commit %s)", v.Client.Version, v.Client.Commit))
			for _, i := range v.Installations {
				out.field("Installed",
					fmt.Sprintf("%s in Deployment %s, %d of %d replicas ready", i.Version, i.Deployment, i.Ready, i.Replicas))
			}
			if !clientOnly && unseen == nil && len(v.Installations) == 0 {
				out.field("Installed", "nothing that you may see")
			}
			if err := out.Flush(); err != nil {
				return err
			}
			return unseen
		},
	}
	c.Flags().BoolVar(&clientOnly, "client", false, "print the version of this program only, without a cluster")
	p.outputFlag(c, asJSON, asYAML)
	return c
}

// installed are the installations that the user may see.
func (p *plugin) installed(cmd *cobra.Command) ([]view.Installed, error) {
	clients, _, err := p.connect()
	if err != nil {
		return nil, err
	}
	installations, err := inspect.ReadInstallations(cmd.Context(), clients.Kube, p.addon)
	all := make([]view.Installed, len(installations))
	for i, is := range installations {
		d := is.Deployment
		all[i] = view.Installed{
			Deployment: is.Name(), Version: versionOf(&d), Ready: int(d.Status.ReadyReplicas), Replicas: int(d.Status.Replicas),
		}
	}
	return all, err
}

// versionOf is the release that a Deployment runs, by the tag of its image: a label says which
// chart made it.
func versionOf(d *appsv1.Deployment) string {
	for _, c := range d.Spec.Template.Spec.Containers {
		image, _, _ := strings.Cut(c.Image, "@")
		if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
			return image[i+1:]
		}
	}
	return cmp.Or(d.Labels["app.kubernetes.io/version"], "unknown")
}
