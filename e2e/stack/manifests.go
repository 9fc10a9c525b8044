package stack

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/restmapper"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/manifests"
)

// object is any Kubernetes object.
type object = manifests.Object

// create creates objects as the administrator: first the namespaces, then all others concurrently.
func (s *Stack) create(ctx context.Context, objects []*object) error {
	groups, err := restmapper.GetAPIGroupResources(s.kube.Discovery())
	if err != nil {
		return err
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	first, rest := errgroup.Group{}, errgroup.Group{}
	rest.SetLimit(16)
	for _, o := range objects {
		if o.GetKind() == "Namespace" {
			first.Go(func() error { return s.createOne(ctx, mapper, o) })
		}
	}
	if err := first.Wait(); err != nil {
		return err
	}
	for _, o := range objects {
		if o.GetKind() != "Namespace" {
			rest.Go(func() error { return s.createOne(ctx, mapper, o) })
		}
	}
	return rest.Wait()
}

func (s *Stack) createOne(ctx context.Context, mapper meta.RESTMapper, o *object) error {
	kind := o.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	namespace := o.GetNamespace()
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = "" // PAC's ClusterRoles have one
		o.SetNamespace("")
	}
	if _, err := s.dynamic.Resource(mapping.Resource).Namespace(namespace).Create(ctx, o, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// crdsServed checks that the API server serves every custom resource.
func (s *Stack) crdsServed(ctx context.Context) error {
	list, err := s.dynamic.Resource(crdResource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, crd := range list.Items {
		if !hasCondition(&crd, "Established", "True") {
			return fmt.Errorf("CRD %s is not established", crd.GetName())
		}
	}
	return nil
}

func hasCondition(o *object, kind, status string) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == kind && c["status"] == status {
			return true
		}
	}
	return false
}
