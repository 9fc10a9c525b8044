package pac

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// PodSelector and PodFields select the pods of runs that may still run: one that has ended by
// itself stays in the cluster, and takes nothing of it.
const (
	PodSelector = pipeline.PipelineRunLabelKey
	PodFields   = "status.phase!=Succeeded,status.phase!=Failed"
)

// indexRun finds the pods of a run in the informer, by the label that Tekton gives them.
const indexRun = "pac-lease-queue-run"

// Pods finds the pods of runs. It answers from the cache.
type Pods struct{ pods cache.Indexer }

// NewPods reads through an informer of the metadata of pods, which must select [PodSelector] and
// [PodFields], trim with [TrimPod], and not have been started yet.
func NewPods(informer cache.SharedIndexInformer) (*Pods, error) {
	if err := informer.AddIndexers(cache.Indexers{indexRun: byRun}); err != nil {
		return nil, fmt.Errorf("index pods by run: %w", err)
	}
	return &Pods{informer.GetIndexer()}, nil
}

// Left returns the pods of a run that may still run; nil if there are none.
func (p *Pods) Left(key queue.Key, of queue.Holder) *queue.Pods {
	objects, err := p.pods.ByIndex(indexRun, key.Namespace+"/"+of.Name)
	if err != nil || len(objects) == 0 {
		return nil
	}
	left := &queue.Pods{}
	var names []string
	for _, obj := range objects {
		pod := obj.(*metav1.PartialObjectMetadata)
		if uid := pod.Labels[pipeline.PipelineRunUIDLabelKey]; uid != "" && uid != of.UID {
			continue // of another run of the same name
		}
		names = append(names, pod.Name)
		if pod.DeletionTimestamp != nil && left.Due.Before(pod.DeletionTimestamp.Time) {
			left.Due = pod.DeletionTimestamp.Time
		}
	}
	if len(names) == 0 {
		return nil
	}
	left.Number, left.First = len(names), slices.Min(names)
	return left
}

// TrimPod reduces the metadata of a pod to what [Pods] and [KeyOf] read.
func TrimPod(obj any) (any, error) {
	pod, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	trimmed := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		DeletionTimestamp: pod.DeletionTimestamp, Labels: map[string]string{}, Annotations: map[string]string{},
	}}
	for _, key := range []string{pipeline.PipelineRunLabelKey, pipeline.PipelineRunUIDLabelKey} {
		if value := pod.Labels[key]; value != "" {
			trimmed.Labels[key] = value
		}
	}
	if value := cmp.Or(pod.Annotations[keys.Repository], pod.Labels[QueueLabel]); value != "" {
		trimmed.Annotations[keys.Repository] = queue.Bounded(value, bounds[keys.Repository])
	}
	return trimmed, nil
}

func byRun(obj any) ([]string, error) {
	if pod, ok := obj.(*metav1.PartialObjectMetadata); ok {
		return []string{pod.Namespace + "/" + pod.Labels[pipeline.PipelineRunLabelKey]}, nil
	}
	return nil, nil
}
