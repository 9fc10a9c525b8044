package kind

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/manifests"
)

// component is a system whose manifests come with its Go module.
type component struct {
	module string
	files  []string // below the module's folder config
	partOf string   // the label app.kubernetes.io/part-of
}

var (
	tekton = component{
		module: build.ModuleTekton,
		partOf: "tekton-pipelines",
		files: []string{
			"100-namespace/*.yaml", "300-crds/*.yaml", "200-*.yaml", "201-*.yaml", "clusterrole-*.yaml", "config-*.yaml",
			"500-webhooks.yaml", "controller.yaml", "webhook.yaml",
		},
	}
	pac = component{
		module: build.ModulePAC,
		partOf: "pipelines-as-code",
		files: []string{
			"100-*.yaml", "300-*.yaml", "2*.yaml", "30[1-7]-*.yaml", "400-*.yaml", "401-*.yaml",
			"500-*.yaml", "501-*.yaml", "600-*.yaml", "601-*.yaml",
		},
	}
)

// manifests returns the component's own files with three changes: the images, resource requests
// that fit a small machine, and the label by which Terraform finds everything again when it
// destroys.
func (c component) manifests(ctx context.Context, images map[string]Image) ([]*manifests.Object, error) {
	dir, err := build.ModuleDir(ctx, c.module)
	if err != nil {
		return nil, err
	}
	objects, err := manifests.Read(filepath.Join(dir, "config"), c.files...)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		labels := o.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels["app.kubernetes.io/part-of"] = c.partOf
		o.SetLabels(labels)
		if err := adaptContainers(o, images); err != nil {
			return nil, fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return objects, nil
}

// smallRequests suffice for a test.
var smallRequests = map[string]any{"requests": map[string]any{"cpu": "10m", "memory": "32Mi"}}

func adaptContainers(o *manifests.Object, images map[string]Image) error {
	containers, found, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if !found || err != nil {
		return err
	}
	for _, c := range containers {
		container := c.(map[string]any)
		delete(container, "imagePullPolicy")
		container["resources"] = smallRequests
		if container["image"], err = resolve(container["image"].(string), images); err != nil {
			return err
		}
		args, _, _ := unstructured.NestedStringSlice(container, "args")
		for i := range args {
			if args[i], err = resolve(args[i], images); err != nil {
				return err
			}
		}
		if len(args) > 0 {
			manifests.Set(&manifests.Object{Object: container}, toAny(args), "args")
		}
	}
	manifests.Set(o, containers, "spec", "template", "spec", "containers")
	return nil
}

// unused are images that Tekton needs only for features that are off by default.
var unused = []string{"ko://github.com/tektoncd/pipeline/cmd/sidecarlogresults"}

// resolve replaces a reference for ko by an image; other text stays as it is.
func resolve(text string, images map[string]Image) (string, error) {
	if !strings.HasPrefix(text, "ko://") || slices.Contains(unused, text) {
		return text, nil
	}
	img, ok := images[string(koImages[text])]
	if !ok {
		return "", fmt.Errorf("no image for %s", text)
	}
	return img.Ref(), nil
}

func toAny(list []string) []any {
	var out []any
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

const watcherName = "pipelines-as-code-watcher"

// sharedWatcher returns a StatefulSet of PAC's watcher to go beside its Deployment: its pods share
// the work, each with the bucket of its ordinal. It has no replicas at first.
func sharedWatcher(objects []*manifests.Object) (*manifests.Object, error) {
	i := slices.IndexFunc(objects, func(o *manifests.Object) bool { return o.GetKind() == "Deployment" && o.GetName() == watcherName })
	if i < 0 {
		return nil, fmt.Errorf("no Deployment %s among PAC's manifests", watcherName)
	}
	set := objects[i].DeepCopy()
	set.SetKind("StatefulSet")
	manifests.Set(set, int64(0), "spec", "replicas")
	manifests.Set(set, watcherName, "spec", "serviceName")
	manifests.Set(set, "Parallel", "spec", "podManagementPolicy")
	// Deployment and StatefulSet must not select each other's pods.
	for _, field := range []string{"selector/matchLabels", "template/metadata/labels"} {
		manifests.Set(set, "shared", append(append([]string{"spec"}, strings.Split(field, "/")...), "pac-lease-queue.dev/watcher")...)
	}
	containers, _, err := unstructured.NestedSlice(set.Object, "spec", "template", "spec", "containers")
	if err != nil || len(containers) != 1 {
		return nil, fmt.Errorf("the Deployment %s has %d containers (%v), want one", watcherName, len(containers), err)
	}
	container := containers[0].(map[string]any)
	env, _, err := unstructured.NestedSlice(container, "env")
	if err != nil {
		return nil, err
	}
	container["env"] = append(env,
		map[string]any{
			"name":      "STATEFUL_CONTROLLER_ORDINAL",
			"valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "metadata.name"}},
		},
		map[string]any{"name": "STATEFUL_SERVICE_NAME", "value": watcherName},
	)
	manifests.Set(set, containers, "spec", "template", "spec", "containers")
	return set, nil
}

// Manifests returns the YAML texts of the components by name: tekton, pipelines-as-code.
func Manifests(ctx context.Context, images map[string]Image) (map[string][]byte, error) {
	tektonObjects, err := tekton.manifests(ctx, images)
	if err != nil {
		return nil, err
	}
	pacObjects, err := pac.manifests(ctx, images)
	if err != nil {
		return nil, err
	}
	watcher, err := sharedWatcher(pacObjects)
	if err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for name, objects := range map[string][]*manifests.Object{
		"tekton":            tektonObjects,
		"pipelines-as-code": append(pacObjects, watcher),
	} {
		var text bytes.Buffer
		for _, o := range objects {
			one, err := yaml.Marshal(o.Object)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&text, "---\n%s", one)
		}
		texts[name] = text.Bytes()
	}
	return texts, nil
}

// archives returns the archives of all images, in the order of the images' names.
func archives(images map[string]Image) []string {
	var files []string
	for _, n := range slices.Sorted(maps.Keys(images)) {
		files = append(files, images[n].Archive)
	}
	return files
}
