package plugin_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// TestExamples: the API server accepts every object of examples/, and knows each of its fields.
// Routes are OpenShift's, which has them checked nowhere else.
func TestExamples(t *testing.T) {
	site.Needed(t)
	const namespace = "examples"
	fixture.Must(t, site.NewNamespace(t.Context(), namespace))
	root, err := build.Root()
	fixture.Must(t, err)
	config := site.Config(stack.Admin)
	objects, err := dynamic.NewForConfig(config)
	fixture.Must(t, err)
	known, err := discovery.NewDiscoveryClientForConfig(config)
	fixture.Must(t, err)
	groups, err := restmapper.GetAPIGroupResources(known)
	fixture.Must(t, err)
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	accepted := 0
	fixture.Must(t, filepath.WalkDir(filepath.Join(root, "examples"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
			o := &unstructured.Unstructured{}
			if err := documents.Decode(&o.Object); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				t.Errorf("%s: %v", path, err)
				return nil
			}
			kind := o.GroupVersionKind()
			if kind.Group == "route.openshift.io" || kind.Kind == "" { // values of the chart have no kind
				continue
			}
			mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			o.SetNamespace(namespace)
			_, err = objects.Resource(mapping.Resource).Namespace(namespace).Create(t.Context(), o, metav1.CreateOptions{
				DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
			})
			if err != nil {
				t.Errorf("%s: %s %s: %v", path, kind.Kind, o.GetName(), err)
			}
			accepted++
		}
	}))
	if accepted == 0 {
		t.Error("there are no examples")
	}
}
