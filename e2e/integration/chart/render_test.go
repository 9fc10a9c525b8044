package chart

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

var update = flag.Bool("update", false, "write what the chart renders to testdata instead of comparing the two")

const (
	product    = "pac-lease-queue" // the name of chart, release and namespace
	withPolicy = "1.36.0"          // a Kubernetes version with MutatingAdmissionPolicy
	older      = "1.35.4"          // one without
)

// helm is the path of the program, and chart that of the chart.
var helm, chart string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := errors.Join(find(), apiextensionsv1.AddToScheme(scheme.Scheme)); err != nil {
		fmt.Fprintln(os.Stderr, "helm and the chart:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func find() error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	chart = filepath.Join(root, "charts", product)
	// Go's cache of test results depends on the files a test reads. Helm reads the chart, so the
	// test reads it too.
	err = filepath.WalkDir(chart, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			_, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		return err
	}
	programs, err := build.Build(context.Background(), nil, build.Helm)
	helm = programs[build.Helm]
	return err
}

// helmCommand returns a command that runs helm without a cluster and without the user's settings.
func helmCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), helm, args...)
	cmd.Env = append(process.Env(t.TempDir()), "KUBECONFIG=/dev/null")
	return cmd
}

// runHelm runs helm on the chart and returns its output, or its complaint as an error.
func runHelm(t *testing.T, command, release string, args ...string) (string, error) {
	t.Helper()
	cmd := helmCommand(t, append([]string{command, release, chart, "--namespace", product}, args...)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", errors.New(strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// template renders the chart by `helm template` with these arguments.
func template(t *testing.T, args ...string) string {
	t.Helper()
	out, err := runHelm(t, "template", product, args...)
	if err != nil {
		t.Fatalf("helm template %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// set returns the arguments for a version of Kubernetes and values.
func set(kubernetes string, values ...string) []string {
	args := []string{"--kube-version", kubernetes}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return args
}

// object is one object that the chart renders, untyped and typed.
type object struct {
	*unstructured.Unstructured
	typed runtime.Object
}

func (o object) String() string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// others are the APIs of the Prometheus operator and of gateways, whose types are not compiled in.
var others = []string{"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"}

// parse decodes the rendered objects into Kubernetes' types, strictly: an unknown or a duplicate
// field is an error.
func parse(t *testing.T, rendered string) []object {
	t.Helper()
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []object
	seen := map[string]bool{}
	documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(rendered)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &u.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if u.Object == nil {
			continue
		}
		o := object{Unstructured: u}
		if !slices.Contains(others, u.GetAPIVersion()) {
			if o.typed, _, err = strict.Decode(document, nil, nil); err != nil {
				t.Fatalf("%s: %v", o, err)
			}
		}
		if seen[o.String()] {
			t.Fatalf("%s is rendered twice", o)
		}
		seen[o.String()] = true
		objects = append(objects, o)
	}
}

func render(t *testing.T, kubernetes string, values ...string) []object {
	t.Helper()
	return parse(t, template(t, set(kubernetes, values...)...))
}

// get finds an object by its String.
func get[T any](t *testing.T, objects []object, id string) T {
	t.Helper()
	for _, o := range objects {
		if o.String() == id {
			typed, ok := o.typed.(T)
			if !ok {
				t.Fatalf("%s is a %T", id, o.typed)
			}
			return typed
		}
	}
	t.Fatalf("the chart renders no %s", id)
	panic("unreachable")
}

// golden compares with a file in testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got; run with -update if the change is intended):\n%s", path, diff)
	}
}
