package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// TestQueuesDoc: the tables of docs/queues.md match the CRD. -update writes them.
func TestQueuesDoc(t *testing.T) {
	path := filepath.Join(filepath.Dir(filepath.Dir(chart)), "docs", "queues.md")
	schema := runQueueCRD(t).Spec.Versions[0].Schema.OpenAPIV3Schema
	generated(t, path, map[string]string{
		"spec": fieldsTable(schema.Properties["spec"]), "status": fieldsTable(schema.Properties["status"]),
	})
}

// runQueueCRD is the CRD as the types of addon/api make it.
func runQueueCRD(t *testing.T) apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart, "files", "crds", "pac-lease-queue.dev_runqueues.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

func fieldsTable(of apiextensionsv1.JSONSchemaProps) string {
	var b strings.Builder
	b.WriteString("| field | type | means |\n| --- | --- | --- |\n")
	fields(&b, "", of)
	return b.String()
}

// fields writes a line for each field, those of an object below it.
func fields(b *strings.Builder, prefix string, of apiextensionsv1.JSONSchemaProps) {
	names := make([]string, 0, len(of.Properties))
	for name := range of.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		field := of.Properties[name]
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, name, kindOf(field), strings.Join(strings.Fields(field.Description), " "))
		switch {
		case prefix+name == "conditions": // Kubernetes' own
		case field.Items != nil && field.Items.Schema != nil:
			fields(b, prefix+name+"[].", *field.Items.Schema)
		default:
			fields(b, prefix+name+".", field)
		}
	}
}

// kindOf says what a field may be.
func kindOf(field apiextensionsv1.JSONSchemaProps) string {
	var parts []string
	for _, value := range field.Enum {
		parts = append(parts, "`"+strings.Trim(string(value.Raw), `"`)+"`")
	}
	if len(parts) > 0 {
		return strings.Join(parts, ", ")
	}
	kind := field.Type
	switch {
	case field.Type == "array":
		kind = "list"
	case field.Format == "date-time":
		kind = "time"
	}
	if field.Minimum != nil && field.Maximum != nil {
		kind += fmt.Sprintf(", %g to %g", *field.Minimum, *field.Maximum)
	}
	return kind
}
