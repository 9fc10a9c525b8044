package artifacts

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

// collected are the kinds whose objects Collect writes. Secrets are not among them, and of the
// ConfigMaps it writes only the add-on's.
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
	logLines    = 10_000 // of one container's log, from its end
	logsAtATime = 8
)

// addon is part of the name of every ConfigMap of the add-on.
const addon = "pac-lease-queue"

// Collect writes to dir, in a folder per namespace, the logs of all pods, the events in order, and
// the objects that matter. Of a restarted container it also writes the previous log. What it cannot
// read is listed in missing.txt; Collect fails only if it can read or write nothing.
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
		c.note(resource.Resource, c.writeObjects(ctx, resource))
	}
	c.note("events", c.writeEvents(ctx))
	c.note("logs", c.writeLogs(ctx))
	if len(c.missing) == 0 {
		return nil
	}
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("no artifact was collected: %w", errors.Join(c.missing...))
	}
	return WriteFile(filepath.Join(dir, "missing.txt"), errors.Join(c.missing...).Error()+"\n")
}

type collector struct {
	kube    kubernetes.Interface
	objects dynamic.Interface
	dir     string

	mu      sync.Mutex
	missing []error
}

// note remembers what could not be collected.
func (c *collector) note(what string, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing = append(c.missing, fmt.Errorf("%s: %w", what, err))
}

// file returns the path of a file for a namespace, or for objects without one.
func (c *collector) file(namespace, name string) string {
	return filepath.Join(c.dir, cmp.Or(namespace, "cluster"), name)
}

// writeObjects writes every object of a kind, as one List per namespace.
func (c *collector) writeObjects(ctx context.Context, resource schema.GroupVersionResource) error {
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
		errs = append(errs, yaml.Encode(list, &text), WriteFile(c.file(namespace, resource.Resource+".yaml"), text.String()))
	}
	return errors.Join(errs...)
}

// writeEvents writes one line per event, the latest last.
func (c *collector) writeEvents(ctx context.Context) error {
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
			cmp.Or(e.Source.Component, e.ReportingController), e.Reason,
			e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message, max(e.Count, 1))
	}
	var errs []error
	for namespace, text := range lines {
		errs = append(errs, WriteFile(c.file(namespace, "events.txt"), text.String()))
	}
	return errors.Join(errs...)
}

// writeLogs writes the log of every container, and the previous one of a restarted container.
func (c *collector) writeLogs(ctx context.Context) error {
	pods, err := c.kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var logs errgroup.Group
	logs.SetLimit(logsAtATime)
	for _, pod := range pods.Items {
		for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			for previous := range min(container.RestartCount, 1) + 1 {
				logs.Go(func() error {
					c.note(pod.Namespace+"/"+pod.Name+" "+container.Name, c.writeLog(ctx, pod, container.Name, previous == 1))
					return nil
				})
			}
		}
	}
	return logs.Wait()
}

func (c *collector) writeLog(ctx context.Context, pod corev1.Pod, container string, previous bool) error {
	lines := int64(logLines)
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
	return errors.Join(err, WriteFile(c.file(pod.Namespace, name+".log"), string(text)))
}

// WriteFile writes a file and creates the folders above it.
func WriteFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
