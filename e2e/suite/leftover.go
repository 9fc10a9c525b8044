package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// addon is in the name of everything that the chart makes, and in the
// app.kubernetes.io/managed-by label of everything that the add-on makes; its
// events have it as their component.
const addon = "pac-lease-queue"

// installable is what an installation consists of, and what the add-on makes.
var installable = []schema.GroupVersionResource{
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingadmissionpolicies"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingadmissionpolicybindings"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "batch", Version: "v1", Resource: "jobs"},
	{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "pods"},
	{Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "serviceaccounts"},
	{Version: "v1", Resource: "services"},
}

// nothingLeft is an error that names what is left of an installation.
func nothingLeft(ctx context.Context, config *rest.Config) error {
	client, err := metadata.NewForConfig(config) // never the contents of a Secret
	if err != nil {
		return err
	}
	nodes, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "nodes"}).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	var left []string
	for _, resource := range installable {
		list, err := client.Resource(resource).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue // a cluster too old to have any
		}
		if err != nil {
			return fmt.Errorf("%s: %w", resource.Resource, err)
		}
		for _, o := range list.Items {
			if ofNode(o.Name, nodes.Items) {
				continue
			}
			if strings.Contains(o.Name, addon) || o.Labels["app.kubernetes.io/managed-by"] == addon {
				left = append(left, fmt.Sprintf("%s %s/%s", resource.Resource, o.Namespace, o.Name))
			}
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("left: %s", strings.Join(left, ", "))
	}
	return nil
}

// ofNode says whether an object has the name of a node in its own, as a node's Lease
// and its static pods do: a kind cluster may have the add-on's name.
func ofNode(name string, nodes []metav1.PartialObjectMetadata) bool {
	return slices.ContainsFunc(nodes, func(n metav1.PartialObjectMetadata) bool { return strings.HasSuffix(name, n.Name) })
}
