package pac

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Shapes say what people want of queues besides their limits. They are safe for concurrent use.
type Shapes interface {
	// Of returns the shape of a queue: an equal one for as long as nothing of it changes.
	Of(queue.Key) Shape
	// Own returns the queue that needs no Repository; false if there is none of that name. Only a
	// [queue.Fresh] answer has to go past the caches.
	Own(ctx context.Context, key queue.Key, freshness queue.Freshness) (Own, bool, error)
}

// Own is a queue that needs no Repository.
type Own struct {
	// UID is that of the RunQueue.
	UID   string
	Limit queue.Limit
}

// Shape is what people want of one queue. A shape never changes.
type Shape interface {
	Spec() queue.Spec
	// Priority is what the queue gives a run. An error says which conditions could not be applied
	// to it, and goes with the priority that the others give.
	Priority(Subject) (int, error)
}

// Prioritize gives a run that was read the priority that its queue gives it, if the queue has a
// shape. Conditions that could not be applied are problems of the run.
func Prioritize(run *queue.Run, pr *tektonv1.PipelineRun, shape Shape) {
	if shape == nil || run.Phase != queue.Pending {
		return
	}
	pr = Trim(pr)
	priority, err := shape.Priority(subjectOf(pr, run))
	run.Priority.Listed = priority
	if err != nil {
		run.Problems = append(run.Problems, fmt.Sprintf("the priorities of RunQueue %s: %v", pr.Annotations[keys.Repository], err))
	}
}

// Subject is what the conditions of a queue know of a run.
type Subject struct {
	Name string
	// Definition is the PipelineRun in .tekton/ that the run was made from.
	Definition string
	Event      SubjectEvent
	// Labels and Annotations are those that people gave the run: not those of PAC, Tekton,
	// Kubernetes and this product.
	Labels, Annotations map[string]string
	// Cut says which of them are left out, because there are too many; empty if none are.
	Cut string
}

// SubjectEvent is the event that a run was made for.
type SubjectEvent struct {
	// Type is PAC's name of its kind, e.g. push or pull_request.
	Type string
	// Branch is where the change comes from, and Target where it goes; the same for a push.
	Branch, Target string
	// PullRequest is the number of the pull request; empty for a push.
	PullRequest string
	// Sender is the account that caused the event.
	Sender string
}

// subjectOf reads a trimmed run.
func subjectOf(pr *tektonv1.PipelineRun, run *queue.Run) Subject {
	annotations := pr.Annotations
	s := Subject{
		Name: pr.Name, Definition: run.Origin.Definition, Labels: map[string]string{}, Annotations: map[string]string{},
		Event: SubjectEvent{
			Type: annotations[keys.EventType], Branch: run.Origin.Branch, Target: branch(annotations[keys.Branch]),
			PullRequest: run.Origin.PullRequest, Sender: run.Origin.Sender,
		},
	}
	if first := annotations[textsCut]; first != "" {
		s.Cut = fmt.Sprintf("it has more than %d bytes of labels and annotations, and those from %s on are not seen", mostTexts, first)
	}
	for of, from := range map[*map[string]string]map[string]string{&s.Labels: pr.Labels, &s.Annotations: annotations} {
		for key, value := range from {
			if byPeople(key) {
				(*of)[key] = value
			}
		}
	}
	return s
}

// branch is the name of a branch as people write it.
func branch(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

// mostTexts is how many bytes of labels and annotations by people are kept of a run that waits.
const mostTexts = 2048

// textsCut is kept of a run of which there are more, with the first that is left out. No client can
// set it: it is not by people.
const textsCut = prefix + "texts-cut"

// keepTexts has a trimmed run keep the labels and annotations by people, up to a bound: the labels
// first, and each by name, so that all replicas keep the same. The annotations go to a map.
func keepTexts(trimmed *tektonv1.PipelineRun, annotations map[string]string, pr *tektonv1.PipelineRun) {
	bytes := 0
	keep := func(from map[string]string, kept *map[string]string) {
		for _, key := range slices.Sorted(maps.Keys(from)) {
			if !byPeople(key) {
				continue
			}
			if bytes += len(key) + len(from[key]); bytes > mostTexts {
				annotations[textsCut] = queue.Clip(key, mostKey)
				return
			}
			if *kept == nil {
				*kept = map[string]string{}
			}
			(*kept)[key] = from[key]
		}
	}
	keep(pr.Labels, &trimmed.Labels)
	if annotations[textsCut] == "" {
		keep(pr.Annotations, &annotations)
	}
}

// mostKey is how many bytes the key of a label or an annotation has at most.
const mostKey = 253 + len("/") + 63

// byPeople says that neither PAC, Tekton, Kubernetes, Kueue nor this product writes that label or
// annotation.
func byPeople(key string) bool {
	domain, _, prefixed := strings.Cut(key, "/")
	switch {
	case !prefixed:
		return true
	case key == managedByKey, strings.HasPrefix(key, prefix):
		return false
	}
	for _, theirs := range []string{"tekton.dev", "k8s.io", "x-k8s.io", "kubernetes.io"} {
		if domain == theirs || strings.HasSuffix(domain, "."+theirs) && domain != "app.kubernetes.io" {
			return false
		}
	}
	return true
}
