package pac

import (
	"fmt"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/budget"
)

// namespaceBudget is how many bytes of labels and annotations the cache keeps of the runs of one
// namespace: of some 16,000 runs as PAC makes them, or of 2,000 with the longest texts that are
// usable. Beyond it, runs are stubs.
const namespaceBudget = 16 << 20

// stubKind tells a stub from a trimmed run.
const stubKind = "StubPipelineRun"

// stubbed are the annotations that a stub keeps besides its event: all that the limit, the place
// among events and the safety of a start depend on.
var stubbed = map[string]bool{
	keys.Repository: true, keys.ControllerInfo: true, Claim: true, Attempt: true, NotBefore: true, HeldQueueName: true,
	keys.SecretCreated: true, keys.InstallationID: true, keys.CheckRunID: true, needsSecret: true, byLabel: true, Arrived: true,
}

// stubProblem is what people read about a stub.
var stubProblem = fmt.Sprintf("the unfinished runs of this namespace have more than %d MiB of annotations; among the runs of its event "+
	"this one is queued by name, cancel-in-progress passes it over, and it gets no annotations until it starts", namespaceBudget>>20)

// Trimmer trims the runs of an informer within a budget for each namespace. It is safe for
// concurrent use.
type Trimmer struct{ kept *budget.Budget }

// NewTrimmer returns a Trimmer that keeps nothing yet.
func NewTrimmer() *Trimmer { return &Trimmer{budget.New(namespaceBudget)} }

// Cache is [CacheRun], except that a run for which its namespace has no room becomes a stub. It
// stays one until it changes while there is room. Replicas may take different runs for stubs. That
// does not touch the limit: a stub keeps all that a claim or a start rests on.
func (t *Trimmer) Cache(obj any) (any, error) {
	pr, ok := obj.(*tektonv1.PipelineRun)
	if !ok {
		return obj, nil
	}
	trimmed := Trim(pr)
	if !t.kept.Take(trimmed, sizeOfTexts(trimmed)) {
		return cached(stub(trimmed)), nil
	}
	return cached(trimmed), nil
}

// Follow makes room again for the runs that the informer drops.
func (t *Trimmer) Follow(informer cache.SharedIndexInformer) error { return t.kept.Follow(informer) }

func stub(trimmed *tektonv1.PipelineRun) *tektonv1.PipelineRun {
	short := *trimmed
	short.Kind, short.Labels = stubKind, nil
	keepQueueName(&short, trimmed)
	kept := map[string]string{}
	for key := range stubbed {
		if value, present := trimmed.Annotations[key]; present {
			kept[key] = value
		}
	}
	if key, order, present := orderOf(trimmed); present {
		kept[key] = eventOnly(order)
	}
	short.Annotations = kept
	return &short
}
