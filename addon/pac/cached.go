package pac

import (
	"maps"
	"slices"
	"strconv"
	"time"
	"unique"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Cached is a trimmed run as the informer keeps it. A PipelineRun takes four times the memory: most
// of its fields are empty, and each entry of a map costs more than most annotations are long. So
// what only [Cached.Run] needs is packed, and what runs of one event or one definition have in
// common is kept once. A Cached never changes.
type Cached struct {
	shared             unique.Handle[shared]
	name, uid, version string
	// order is the packed one, and held says which annotation it is of.
	order string
	held  bool
	// own has the other fields of which each run has its own value.
	own string
	// created and ended are in Unix seconds, as the API has them; ended is zero without an end.
	created, ended int64
	phase          queue.Phase
	pending        bool // so says its spec
	queued         bool // it is in a queue
	labelled       bool // it is queued by its label
	stub           bool
}

// shared is what runs have in common. Each text is kept once, also for those that have only some of
// them in common.
type shared struct {
	namespace, repository, info interned
	// event has the annotations that are alike on all runs of a definition and an event, and people
	// the labels and annotations by people.
	event, people interned
}

// interned is a text that is kept once.
type interned = unique.Handle[string]

// CacheRun is the transform of an informer that keeps runs as [Cached]. It trims them like [Trim].
func CacheRun(obj any) (any, error) {
	pr, ok := obj.(*tektonv1.PipelineRun)
	if !ok {
		return obj, nil // it is cached already, or a tombstone, whose object is
	}
	return cached(Trim(pr)), nil
}

// GetObjectMeta implements metav1.ObjectMetaAccessor: an informer tells objects apart by it. It has
// the identity and the version only.
func (c *Cached) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{
		Name: c.name, Namespace: c.shared.Value().namespace.Value(), UID: types.UID(c.uid), ResourceVersion: c.version,
	}
}

// KeyOfCached is [KeyOf] of what an informer of runs, or of their pods, has.
func KeyOfCached(obj any) (queue.Key, bool) {
	switch is := obj.(type) {
	case *Cached:
		return is.Key()
	case metav1.Object:
		return KeyOf(is)
	default:
		return queue.Key{}, false
	}
}

// Key is [KeyOf] of the run.
func (c *Cached) Key() (queue.Key, bool) {
	of := c.shared.Value()
	return queue.Key{Namespace: of.namespace.Value(), Repository: of.repository.Value()}, c.queued
}

// endOf returns the period in which the run ended. One whose end Tekton has not dated yet is not
// over, nor is one that has yet to be marked as finished.
func (c *Cached) endOf() (number int64, over bool) {
	if c.phase != queue.Done || c.ended == 0 || c.labelled {
		return 0, false
	}
	return periodOf(time.Unix(c.ended, 0)), true
}

// ofEvent are the annotations that runs of one event have in common.
var ofEvent = map[string]bool{
	keys.GitProvider: true, keys.InstallationID: true, keys.OriginalPRName: true, keys.EventType: true, keys.PullRequest: true,
	keys.SourceBranch: true, keys.CancelInProgress: true, keys.Sender: true, keys.Branch: true, keys.SecretCreated: true,
	Priority: true, byLabel: true,
}

// Numbers of the packed fields: first those that are no annotations, then one for each annotation
// that is packed, in the order of packedAnnotations.
const (
	fieldDeleted protowire.Number = 1 + iota
	fieldStarted
	fieldEnded
	fieldSpecStatus
	fieldManager
	fieldQueueName
	fieldCondition
	fieldReason
	fieldLabel      // by people; fieldValue follows
	fieldAnnotation // by people; fieldValue follows
	fieldValue
	firstAnnotation
)

// packedAnnotations are those of [bounds] that a Cached has no field for, and what stands for
// others.
var packedAnnotations = func() []string {
	names := append(slices.Collect(maps.Keys(bounds)), needsSecret, textsCut, byLabel)
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool { return name == keys.Repository || name == keys.ControllerInfo })
}()

// packer appends fields to a text.
type packer struct{ bytes []byte }

func (p *packer) text(n protowire.Number, text string) {
	p.bytes = protowire.AppendString(protowire.AppendTag(p.bytes, n, protowire.BytesType), text)
}

func (p *packer) time(n protowire.Number, t *metav1.Time) {
	if t != nil {
		p.text(n, strconv.FormatInt(t.Unix(), 10))
	}
}

func (p *packer) people(n protowire.Number, texts map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		if byPeople(key) {
			p.text(n, key)
			p.text(fieldValue, texts[key])
		}
	}
}

// cached packs a trimmed run.
func cached(pr *tektonv1.PipelineRun) *Cached {
	is := &Cached{
		name: pr.Name, uid: string(pr.UID), version: pr.ResourceVersion, created: pr.CreationTimestamp.Unix(),
		phase: phase(pr), pending: pr.IsPending(), stub: pr.Kind == stubKind,
		labelled: pr.Annotations[byLabel] != "",
	}
	_, is.queued = KeyOf(pr)
	if key, order, present := orderOf(pr); present {
		is.order, is.held = sharedOrder(order), key == HeldOrder
	}
	var own, event, people packer
	own.time(fieldDeleted, pr.DeletionTimestamp)
	own.time(fieldStarted, pr.Status.StartTime)
	own.time(fieldEnded, pr.Status.CompletionTime)
	if end := pr.Status.CompletionTime; end != nil {
		is.ended = end.Unix()
	}
	if pr.Spec.Status != "" {
		own.text(fieldSpecStatus, string(pr.Spec.Status))
	}
	if pr.Spec.ManagedBy != nil {
		own.text(fieldManager, *pr.Spec.ManagedBy)
	}
	if name, labelled := pr.Labels[QueueName]; labelled {
		own.text(fieldQueueName, name)
	}
	if c := pr.Status.GetCondition(Succeeded); c != nil {
		own.text(fieldCondition, string(c.Status))
		own.text(fieldReason, c.Reason)
	}
	for i, name := range packedAnnotations {
		value, present := pr.Annotations[name]
		switch n := firstAnnotation + protowire.Number(i); {
		case !present:
		case ofEvent[name]:
			event.text(n, value)
		default:
			own.text(n, value)
		}
	}
	people.people(fieldLabel, pr.Labels)
	people.people(fieldAnnotation, pr.Annotations)
	is.own = string(own.bytes)
	is.shared = unique.Make(shared{
		namespace: unique.Make(pr.Namespace), repository: unique.Make(pr.Annotations[keys.Repository]),
		info:  unique.Make(pr.Annotations[keys.ControllerInfo]),
		event: unique.Make(string(event.bytes)), people: unique.Make(string(people.bytes)),
	})
	return is
}

// sharedOrder has the runs of an event share the text of their order.
func sharedOrder(packed string) string {
	if len(packed) <= lengthOfOne {
		return packed
	}
	return unique.Make(packed).Value()
}

// lengthOfOne is how long a packed order is that lists one run.
var lengthOfOne = len(queue.NewSequence([]string{""}).Pack())

// Run is the trimmed run. The caller may change it.
func (c *Cached) Run() *tektonv1.PipelineRun {
	of := c.shared.Value()
	pr := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{Kind: trimmedKind},
		ObjectMeta: metav1.ObjectMeta{
			Name: c.name, Namespace: of.namespace.Value(), UID: types.UID(c.uid), ResourceVersion: c.version,
			CreationTimestamp: metav1.Unix(c.created, 0), Annotations: map[string]string{},
		},
	}
	if c.stub {
		pr.Kind = stubKind
	}
	if c.order != "" {
		pr.Annotations[orderAnnotation(c.held)] = c.order
	}
	for key, value := range map[string]string{keys.Repository: of.repository.Value(), keys.ControllerInfo: of.info.Value()} {
		if value != "" {
			pr.Annotations[key] = value
		}
	}
	for _, packed := range []string{c.own, of.event.Value(), of.people.Value()} {
		unpack(pr, packed)
	}
	return pr
}

func orderAnnotation(held bool) string {
	if held {
		return HeldOrder
	}
	return ExecutionOrder
}

// unpack adds packed fields to a run, which shares the memory of their texts.
func unpack(pr *tektonv1.PipelineRun, packed string) {
	var key string // of the value that follows
	var texts *map[string]string
	for bytes, at := []byte(packed), 0; at < len(bytes); {
		n, _, tag := protowire.ConsumeTag(bytes[at:])
		is, length := protowire.ConsumeBytes(bytes[at+max(tag, 0):])
		if tag < 0 || length < 0 {
			panic("not packed by us: " + packed)
		}
		at += tag + length
		text := packed[at-len(is) : at]
		switch n {
		case fieldDeleted:
			pr.DeletionTimestamp = timeOf(text)
		case fieldStarted:
			pr.Status.StartTime = timeOf(text)
		case fieldEnded:
			pr.Status.CompletionTime = timeOf(text)
		case fieldSpecStatus:
			pr.Spec.Status = tektonv1.PipelineRunSpecStatus(text)
		case fieldManager:
			pr.Spec.ManagedBy = &text
		case fieldQueueName:
			put(&pr.Labels, QueueName, text)
		case fieldCondition:
			condition := only(&pr.Status.Conditions)
			condition.Type, condition.Status = Succeeded, corev1.ConditionStatus(text)
		case fieldReason:
			pr.Status.Conditions[0].Reason = text
		case fieldLabel:
			key, texts = text, &pr.Labels
		case fieldAnnotation:
			key, texts = text, &pr.Annotations
		case fieldValue:
			put(texts, key, text)
		default:
			pr.Annotations[packedAnnotations[n-firstAnnotation]] = text
		}
	}
}

// only gives a list one element. It saves its callers the element's type, which is knative's.
func only[S ~[]E, E any](list *S) *E {
	*list = make(S, 1)
	return &(*list)[0]
}

func put(texts *map[string]string, key, text string) {
	if *texts == nil {
		*texts = map[string]string{}
	}
	(*texts)[key] = text
}

func timeOf(text string) *metav1.Time {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err) // only packer.time writes them
	}
	return ptr.To(metav1.Unix(seconds, 0))
}
