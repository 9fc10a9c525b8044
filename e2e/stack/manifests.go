package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/restmapper"
)

// object is any Kubernetes object.
type object = unstructured.Unstructured

// manifests reads every object of the YAML files that match the patterns below dir. A pattern without a match is an error.
func manifests(dir string, patterns ...string) ([]*object, error) {
	var objects []*object
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("no %s in %s", pattern, dir)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			more, err := parse(string(b))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			objects = append(objects, more...)
		}
	}
	return objects, nil
}

// parse reads the objects of a YAML text.
func parse(text string) ([]*object, error) {
	var objects []*object
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &object{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// create creates objects as the administrator, namespaces first, the rest side by side.
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
		namespace = "" // PAC gives its ClusterRoles one
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

// set changes a field of an object that was read from YAML.
func set(o *object, value any, path ...string) {
	if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
		panic(fmt.Sprintf("%s %s: %v", o.GetKind(), o.GetName(), err)) // the pinned file is not what we know
	}
}
