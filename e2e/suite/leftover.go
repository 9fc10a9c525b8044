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

// addon is part of the name of everything that the chart creates. Everything that the add-on
// creates has it as the value of app.kubernetes.io/managed-by, and its events have it as their
// component.
const addon = "pac-lease-queue"

// installable are the kinds that the chart or the add-on creates.
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

// nothingLeft returns an error that names everything left of an installation, if there is anything.
func nothingLeft(ctx context.Context, config *rest.Config) error {
	client, err := metadata.NewForConfig(config) // reads no contents of Secrets
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
			continue // this cluster is too old to have the kind
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
		return fmt.Errorf("the installation left %s", strings.Join(left, ", "))
	}
	return nil
}

// ofNode says whether an object's name ends in a node's name, as those of a node's Lease and static
// pods do. A kind cluster may have the add-on's name, and its nodes then have it too.
func ofNode(name string, nodes []metav1.PartialObjectMetadata) bool {
	return slices.ContainsFunc(nodes, func(n metav1.PartialObjectMetadata) bool { return strings.HasSuffix(name, n.Name) })
}
