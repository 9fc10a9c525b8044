package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// collected are the kinds of which Collect writes every object. Secrets are not
// among them, and ConfigMaps only of the add-on's own.
var collected = []schema.GroupVersionResource{
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"},
	{Group: "pipelinesascode.tekton.dev", Version: "v1alpha1", Resource: "repositories"},
	{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"},
	{Group: "tekton.dev", Version: "v1", Resource: "taskruns"},
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "nodes"},
	{Version: "v1", Resource: "pods"},
}

const (
	logLimit = 10_000 // lines kept of one container's log, the last ones
	logsAtA  = 8      // logs fetched at a time
)

// Collect leaves in dir, in a folder per namespace, what there is to see of a
// cluster: the logs of all pods, those of containers that were restarted included,
// the events in order, and the objects that matter. What could not be had is listed
// in missing.txt; an error is only that nothing could be had or written.
func Collect(ctx context.Context, config *rest.Config, dir string) error {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	c := &collector{kube: kube, objects: objects, dir: dir}
	for _, resource := range collected {
		c.note(resource.Resource, c.list(ctx, resource))
	}
	c.note("events", c.events(ctx))
	c.note("logs", c.logs(ctx))
	if len(c.missing) == 0 {
		return nil
	}
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("nothing could be collected: %w", errors.Join(c.missing...))
	}
	return writeFile(filepath.Join(dir, "missing.txt"), errors.Join(c.missing...).Error()+"\n")
}

type collector struct {
	kube    kubernetes.Interface
	objects dynamic.Interface
	dir     string

	mu      sync.Mutex
	missing []error
}

func (c *collector) note(what string, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing = append(c.missing, fmt.Errorf("%s: %w", what, err))
}

// file is where something of a namespace goes, or of none.
func (c *collector) file(namespace, name string) string {
	return filepath.Join(c.dir, cmp.Or(namespace, "cluster"), name)
}

// list writes every object of a kind, as a List per namespace.
func (c *collector) list(ctx context.Context, resource schema.GroupVersionResource) error {
	list, err := c.objects.Resource(resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	lists := map[string]*unstructured.UnstructuredList{}
	for _, o := range list.Items {
		if resource.Resource == "configmaps" && !strings.Contains(o.GetName(), addon) {
			continue
		}
		o.SetManagedFields(nil)
		if lists[o.GetNamespace()] == nil {
			lists[o.GetNamespace()] = &unstructured.UnstructuredList{Object: list.Object}
		}
		lists[o.GetNamespace()].Items = append(lists[o.GetNamespace()].Items, o)
	}
	yaml := json.NewSerializerWithOptions(json.DefaultMetaFactory, nil, nil, json.SerializerOptions{Yaml: true})
	var errs []error
	for namespace, list := range lists {
		var text strings.Builder
		errs = append(errs, yaml.Encode(list, &text), writeFile(c.file(namespace, resource.Resource+".yaml"), text.String()))
	}
	return errors.Join(errs...)
}

// events writes a line per event, the latest last.
func (c *collector) events(ctx context.Context) error {
	list, err := c.kube.CoreV1().Events("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	at := func(e corev1.Event) metav1.Time {
		switch {
		case e.Series != nil:
			return metav1.Time(e.Series.LastObservedTime)
		case !e.LastTimestamp.IsZero():
			return e.LastTimestamp
		case !e.EventTime.IsZero():
			return metav1.Time(e.EventTime)
		}
		return e.CreationTimestamp
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return at(a).Compare(at(b).Time) })
	lines := map[string]*strings.Builder{}
	for _, e := range list.Items {
		if lines[e.Namespace] == nil {
			lines[e.Namespace] = &strings.Builder{}
		}
		fmt.Fprintf(lines[e.Namespace], "%s %s %s %s %s/%s: %s (%d times)\n", at(e).UTC().Format("15:04:05"), e.Type,
			cmp.Or(e.Source.Component, e.ReportingController), e.Reason, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message, max(e.Count, 1))
	}
	var errs []error
	for namespace, text := range lines {
		errs = append(errs, writeFile(c.file(namespace, "events.txt"), text.String()))
	}
	return errors.Join(errs...)
}

// logs writes the log of every container, and that of its life before.
func (c *collector) logs(ctx context.Context) error {
	pods, err := c.kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var logs errgroup.Group
	logs.SetLimit(logsAtA)
	for _, pod := range pods.Items {
		for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			for previous := range min(container.RestartCount, 1) + 1 {
				logs.Go(func() error {
					c.note(pod.Namespace+"/"+pod.Name+" "+container.Name, c.log(ctx, pod, container.Name, previous == 1))
					return nil
				})
			}
		}
	}
	return logs.Wait()
}

func (c *collector) log(ctx context.Context, pod corev1.Pod, container string, previous bool) error {
	lines := int64(logLimit)
	stream, err := c.kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, Previous: previous, Timestamps: true, TailLines: &lines,
	}).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	name := pod.Name + "." + container
	if previous {
		name += ".previous"
	}
	return errors.Join(err, writeFile(c.file(pod.Namespace, name+".log"), string(text)))
}

// writeFile makes a file and the folders it is in.
func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
