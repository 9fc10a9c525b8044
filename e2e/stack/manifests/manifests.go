// Package manifests reads Kubernetes objects from the YAML files in the Go modules of components.
package manifests

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Object is any Kubernetes object.
type Object = unstructured.Unstructured

// Read reads every object of the YAML files below dir that match the patterns. A pattern without a
// match is an error.
func Read(dir string, patterns ...string) ([]*Object, error) {
	var objects []*Object
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("no file matches %s in %s", pattern, dir)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			more, err := Parse(string(b))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			objects = append(objects, more...)
		}
	}
	return objects, nil
}

// Parse reads the objects in a YAML text.
func Parse(text string) ([]*Object, error) {
	var objects []*Object
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &Object{}
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

// Set changes a field of an object from a pinned file. It panics if the object does not have the
// expected shape.
func Set(o *Object, value any, path ...string) {
	if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
		panic(fmt.Sprintf("%s %s: %v", o.GetKind(), o.GetName(), err))
	}
}
