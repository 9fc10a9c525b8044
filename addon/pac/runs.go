package pac

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/typed/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// Indexes find the runs of a queue in the informer.
const (
	// indexQueue has those that are not over.
	indexQueue = "pac-lease-queue"
	// indexOver has those that are over, by when they ended.
	indexOver = "pac-lease-queue-over"
)

// A look at a queue has the runs that ended in this period or the one before. PAC usually labels a
// run as finished, and the watch drops it, seconds after its end. One that it cannot report keeps
// its label for ever: it may supersede others and lend its event its place for a while, as one that
// PAC is slow to report does, and costs nothing after that. If a slot still names it, it is read
// like any other holder that no list shows.
const period = 10 * time.Minute

// Runs is the [engine.Runs] on PipelineRuns. It is safe for concurrent use.
type Runs struct {
	by       By
	runs     tektonclient.PipelineRunsGetter
	metadata ListMetadata
	sources  []Source
	fresh    []*paged.Shared[listed] // lists of each source
	written  *written
	readings *readings
}

// Source is an informer of runs, which keeps them with [CacheRun] or a [Trimmer].
type Source struct {
	Informer cache.SharedIndexInformer
	// Selector is what the informer selects, and Of selects those of some queues: [Selector] and
	// [SelectorOf], or [LabelledSelector] and [LabelledSelectorOf].
	Selector string
	Of       func(names ...string) string
}

// OfPAC is the source of PAC's runs.
func OfPAC(informer cache.SharedIndexInformer) Source { return Source{informer, Selector, SelectorOf} }

// Labelled is the source of the runs that are queued by their label.
func Labelled(informer cache.SharedIndexInformer) Source {
	return Source{informer, LabelledSelector, LabelledSelectorOf}
}

var _ engine.Runs = (*Runs)(nil)

// By is the replica that reads and writes runs.
type By struct {
	Replica string
	Clock   clock.PassiveClock
	// Gate is shared by all that read long lists; nil for none.
	Gate *paged.Gate
	// Controllers returns what PAC is set to now: the same object for as long as that stays the
	// same. It is nil if PAC has its defaults.
	Controllers func() *Controllers
	// Arrivals note when the runs of each informer came; none if nothing does.
	Arrivals []*Arrivals
	// Ends note which of them are done; nil if nothing does.
	Ends *Ends
	// Kueue says whether Kueue is at work in the cluster; nil if it never is.
	Kueue func() bool
	// AskForKueue asks the API server that before a run that is labelled for Kueue is started
	// without it; nil if Kueue never is at work.
	AskForKueue func(context.Context) (bool, error)
	// Texts write what is for people only; nil if the client of all other writes does.
	Texts tektonclient.PipelineRunsGetter
	// Shapes give runs the priorities of their queues; nil if no queue gives any.
	Shapes Shapes
	// Learnt is told of a run that has another version than the informer shows, as a refused write
	// has brought to light; nil if nobody listens.
	Learnt func(was, is any)
}

// reader returns what reads the runs of a queue as they are in this cluster now. Equal readers read
// alike.
func (b By) reader(key queue.Key) reader {
	is := reader{controllers: &defaults, kueue: b.Kueue != nil && b.Kueue()}
	if b.Shapes != nil {
		is.shape = b.Shapes.Of(key)
	}
	if b.Controllers != nil {
		is.controllers = b.Controllers()
	}
	return is
}

type reader struct {
	controllers *Controllers
	kueue       bool
	shape       Shape // nil if the queue has none
}

var defaults Controllers

func (r reader) read(pr *tektonv1.PipelineRun) queue.Run {
	run := r.controllers.ReadRun(pr)
	if r.kueue {
		run = run.BesideKueue()
	}
	Prioritize(&run, pr, r.shape)
	return run
}

// ListMetadata lists the metadata of the PipelineRuns of a namespace.
type ListMetadata func(ctx context.Context, namespace string, o metav1.ListOptions) (*metav1.PartialObjectMetadataList, error)

// MetadataOf lists through a client.
func MetadataOf(client metadata.Interface) ListMetadata {
	runs := client.Resource(tektonv1.SchemeGroupVersion.WithResource("pipelineruns"))
	return func(ctx context.Context, namespace string, o metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
		return runs.Namespace(namespace).List(ctx, o)
	}
}

// NewRuns reads through informers that have not been started yet. No run is in two of them, unless
// it has just lost PAC's label.
func NewRuns(by By, runs tektonclient.PipelineRunsGetter, metadata ListMetadata, sources ...Source) (*Runs, error) {
	for _, s := range sources {
		if err := s.Informer.AddIndexers(cache.Indexers{indexQueue: byQueue, indexOver: byEnd}); err != nil {
			return nil, fmt.Errorf("index PipelineRuns by queue: %w", err)
		}
	}
	written := newWritten(by.Clock)
	r := &Runs{
		by: by, runs: runs, metadata: metadata, sources: sources,
		written: written, readings: &readings{written: written, arrivals: by.Arrivals},
	}
	for _, s := range sources {
		r.fresh = append(r.fresh, &paged.Shared[listed]{
			Most: mostShared, Timeout: sharedTimeout, Alone: by.Gate == nil,
			Read: func(ctx context.Context, namespace string, names []string) (listed, error) {
				return r.list(ctx, namespace, s.Of(names...), names)
			},
		})
	}
	return r, nil
}

const (
	// mostShared is how many queues share one list: their names have to fit into its address.
	mostShared = 50
	// sharedTimeout bounds such a list.
	sharedTimeout = time.Minute
)

// listed are the runs of a list by the name of their queue.
type listed map[string][]listedRun

// listedRun is what tells a version of a run from others.
type listedRun struct{ name, uid, version string }

// Keys lists the queues that have runs that are not over; one may be there twice.
func (r *Runs) Keys() []queue.Key {
	var keys []queue.Key
	for _, s := range r.sources {
		for _, name := range s.Informer.GetIndexer().ListIndexFuncValues(indexQueue) {
			keys = append(keys, queue.ParseKey(name))
		}
	}
	return keys
}

// Locate returns the queue of a run that the caches have.
func (r *Runs) Locate(namespace, name string) (queue.Key, bool) {
	if run := r.get(namespace, name); run != nil {
		return run.Key()
	}
	return queue.Key{}, false
}

// List implements engine.Runs.
func (r *Runs) List(ctx context.Context, key queue.Key, freshness queue.Freshness) ([]*queue.Run, error) {
	if freshness == queue.Fresh {
		return r.listFresh(ctx, key)
	}
	objects, err := r.shown(key)
	if err != nil {
		return nil, err
	}
	return r.readings.read(key, objects, r.by.reader(key)), nil
}

// shown are the runs of a queue that the caches have: of those that are over, the latest.
func (r *Runs) shown(key queue.Key) ([]any, error) {
	var all []any
	for _, s := range r.sources {
		objects, err := s.shown(key, r.by.Clock.Now())
		if err != nil || len(r.sources) == 1 {
			return objects, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

func (s Source) shown(key queue.Key, now time.Time) ([]any, error) {
	indexer := s.Informer.GetIndexer()
	objects, err := indexer.ByIndex(indexQueue, key.String())
	if err != nil {
		return nil, err
	}
	for _, period := range lately(now) {
		over, err := indexer.ByIndex(indexOver, ending(key, period))
		if err != nil {
			return nil, err
		}
		objects = append(objects, over...)
	}
	return objects, nil
}

// mostUnlisted is how many runs are read one by one that the cache has and a list lacks. Where
// there are more, as while a namespace is emptied, one list of all runs that PAC has not finished
// with is cheaper.
const mostUnlisted = 16

// listFresh lists the runs that PAC has labelled as the queue's. One that the cache has and the
// list lacks has perhaps only lost its label; that it is done is final.
func (r *Runs) listFresh(ctx context.Context, key queue.Key) ([]*queue.Run, error) {
	var all []*queue.Run
	for i, s := range r.sources {
		runs, err := r.listSource(ctx, key, s, r.fresh[i])
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	return all, nil
}

func (r *Runs) listSource(ctx context.Context, key queue.Key, s Source, fresh *paged.Shared[listed]) ([]*queue.Run, error) {
	// Hundreds of queues may have their first claims at the same time.
	all, err := fresh.List(ctx, key.Namespace, key.Repository)
	if err != nil {
		return nil, err
	}
	runs, known, err := r.ofList(ctx, key, all[key.Repository])
	if err != nil {
		return nil, err
	}
	shown, err := s.shown(key, r.by.Clock.Now())
	if err != nil {
		return nil, err
	}
	var unlisted []string
	for _, obj := range shown {
		switch run := obj.(*Cached); {
		case known[run.name]:
		case run.phase == queue.Done:
			runs = append(runs, r.read(key, run))
		default:
			unlisted = append(unlisted, run.name)
		}
	}
	if len(unlisted) > mostUnlisted {
		if all, err = r.list(ctx, key.Namespace, s.Selector, []string{key.Repository}); err != nil {
			return nil, err
		}
		runs, _, err = r.ofList(ctx, key, all[key.Repository])
		return runs, err
	}
	return r.add(ctx, key, runs, unlisted)
}

// list reads the versions of all runs of some queues that the selector selects: a run may have a
// megabyte and more of scripts, and any tenant can have a queue looked at afresh.
func (r *Runs) list(ctx context.Context, namespace, selector string, names []string) (listed, error) {
	all := listed{}
	for _, name := range names {
		all[name] = nil
	}
	list := paged.List[metav1.PartialObjectMetadata]{
		Namespace: namespace, Options: metav1.ListOptions{LabelSelector: selector}, Size: sizeOfMetadata,
		Read: func(ctx context.Context, o metav1.ListOptions) ([]metav1.PartialObjectMetadata, string, error) {
			list, err := r.metadata(ctx, namespace, o)
			if err != nil {
				return nil, "", err
			}
			return list.Items, list.Continue, nil
		},
	}
	err := paged.Each(ctx, r.by.Gate, list, func(is *metav1.PartialObjectMetadata) {
		key, queued := KeyOf(is)
		if _, wanted := all[key.Repository]; queued && wanted && key.Namespace == namespace {
			all[key.Repository] = append(all[key.Repository], listedRun{is.Name, string(is.UID), is.ResourceVersion})
		}
	})
	return all, err
}

// ofList reads the runs of a list. It gets those only that the cache does not have as they were
// listed or as they became later. A run that is read by itself may have moved on since the list;
// see [engine.Runs].
func (r *Runs) ofList(
	ctx context.Context, key queue.Key, all []listedRun,
) (runs []*queue.Run, known map[string]bool, err error) {
	periods := lately(r.by.Clock.Now())
	var unknown []string // names
	known = map[string]bool{}
	for _, is := range all {
		known[is.name] = true
		run := r.cached(key.Namespace, is)
		if run == nil {
			unknown = append(unknown, is.name)
			continue
		}
		ended, over := run.endOf()
		if k, ok := run.Key(); ok && k == key && (!over || slices.Contains(periods, ended)) {
			runs = append(runs, r.read(key, run))
		}
	}
	runs, err = r.add(ctx, key, runs, unknown)
	return runs, known, err
}

// add reads those that exist of the named runs, too.
func (r *Runs) add(ctx context.Context, key queue.Key, runs []*queue.Run, names []string) ([]*queue.Run, error) {
	for _, name := range names {
		run, exists, err := r.Get(ctx, key, name)
		if err != nil {
			return nil, err
		}
		if exists {
			runs = append(runs, withArrival(r.by.Arrivals, &run))
		}
	}
	return runs, nil
}

// read reads a run of the cache.
func (r *Runs) read(key queue.Key, cached *Cached) *queue.Run {
	run := r.by.reader(key).read(cached.Run())
	return withArrival(r.by.Arrivals, &run)
}

// cached returns the run from the cache if it is there as it was listed or as it became later; nil
// otherwise.
func (r *Runs) cached(namespace string, listed listedRun) *Cached {
	run := r.get(namespace, listed.name)
	if run == nil || run.uid != listed.uid {
		return nil
	}
	order, err := resourceversion.CompareResourceVersion(run.version, listed.version)
	if err != nil || order < 0 {
		return nil
	}
	return run
}

// get returns a run as it is in the informer or as it became by a write of ours; nil if it is not
// there.
func (r *Runs) get(namespace, name string) *Cached {
	for _, s := range r.sources {
		obj, exists, err := s.Informer.GetIndexer().GetByKey(cache.NewObjectName(namespace, name).String())
		if run, ok := obj.(*Cached); ok && exists && err == nil {
			return r.written.latest(run)
		}
	}
	return nil
}

// sizeOfMetadata is about how many bytes the metadata of a run has.
func sizeOfMetadata(m *metav1.PartialObjectMetadata) int {
	bytes := sizeOfTexts(m)
	for _, field := range m.ManagedFields {
		if field.FieldsV1 != nil {
			bytes += field.FieldsV1.Size()
		}
	}
	return bytes
}

// pages lists the runs of a namespace ("" is all) that PAC has not finished with, whole.
func pages(runs tektonclient.PipelineRunsGetter, namespace string) paged.List[tektonv1.PipelineRun] {
	read := func(ctx context.Context, o metav1.ListOptions) ([]tektonv1.PipelineRun, string, error) {
		list, err := runs.PipelineRuns(namespace).List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		return list.Items, list.Continue, nil
	}
	return paged.List[tektonv1.PipelineRun]{
		Namespace: namespace, Options: metav1.ListOptions{LabelSelector: Selector}, Read: read, Size: sizeOf,
	}
}

// sizeOf is about how many bytes a run has, most of which are scripts and annotations.
func sizeOf(pr *tektonv1.PipelineRun) int {
	spec, _ := json.Marshal(pr.Spec)
	return len(spec) + sizeOfTexts(pr)
}

func sizeOfTexts(o metav1.Object) int {
	bytes := 0
	for _, texts := range []map[string]string{o.GetLabels(), o.GetAnnotations()} {
		for key, value := range texts {
			bytes += len(key) + len(value)
		}
	}
	return bytes
}

// Get implements engine.Runs. A run that names another queue is not this queue's to start. Once it
// has started it counts all the same: it may have named this queue then.
func (r *Runs) Get(ctx context.Context, key queue.Key, name string) (queue.Run, bool, error) {
	pr, err := r.runs.PipelineRuns(key.Namespace).Get(ctx, name, metav1.GetOptions{})
	if notThere(err) {
		return queue.Run{}, false, nil
	}
	if err != nil {
		return queue.Run{}, false, err
	}
	run := r.by.reader(key).read(pr)
	if k, _ := KeyOf(pr); k != key && run.Phase == queue.Pending {
		return queue.Run{}, false, nil
	}
	return run, true, nil
}

// Over implements engine.Runs.
func (r *Runs) Over(uid string) (ended time.Time, over bool) { return r.by.Ends.of(types.UID(uid)) }

// notThere says whether the error proves that the object does not exist. A 404 from a proxy, or
// from a server without the CRD, proves nothing.
func notThere(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// Start implements engine.Runs with one merge patch that clears spec.status and writes the claim
// token and the annotations for people. One that is Kueue's to start stays Pending, and is shown to
// Kueue instead; any other loses the label, since Kueue would stop it if it came back.
func (r *Runs) Start(ctx context.Context, key queue.Key, a queue.Start) error {
	annotations := noLonger()
	annotations[Replica] = r.by.Replica
	if a.Token.Slot != queue.NoSlot {
		annotations[Slot] = strconv.Itoa(a.Token.Slot)
		annotations[ClaimedAt] = stamp(a.Claimed)
	}
	if a.Run.Kueue.Admits {
		annotations[Status], annotations[Reason] = string(queue.StateClaimed), "waiting for Kueue to admit it"
		_, err := r.patchPending(ctx, key, a.Run, map[string]any{"metadata": toKueue(a.Run, a.Token, annotations)})
		return err
	}
	if a.Run.Kueue.Queue != "" && r.by.AskForKueue != nil {
		is, err := r.by.AskForKueue(ctx)
		if err != nil {
			return err
		}
		if is {
			return fmt.Errorf("%w: Kueue has been installed", engine.ErrStale)
		}
	}
	annotations[Claim] = a.Token.String()
	annotations[Status], annotations[StartedAt] = string(queue.StateStarted), stamp(r.by.Clock.Now())
	metadata := map[string]any{"annotations": annotations}
	if a.Run.Kueue.Queue != "" {
		annotations[HeldQueueName] = nil
		metadata["labels"] = map[string]any{QueueName: nil}
	}
	_, err := r.patchPending(ctx, key, a.Run, map[string]any{"metadata": metadata, "spec": map[string]any{"status": nil}})
	return err
}

// noLonger removes the annotations that are only true of a waiting run.
func noLonger() map[string]any {
	return map[string]any{Status: nil, Position: nil, QueueLength: nil, Reason: nil, EstimatedStart: nil}
}

// Show writes annotations for people on a waiting run, and removes those that are empty. It is
// conditional like a start: if the run has changed since it was observed, Show writes nothing and
// returns [engine.ErrStale].
func (r *Runs) Show(ctx context.Context, key queue.Key, run queue.Run, texts map[string]string) error {
	annotations := map[string]any{}
	for name, text := range texts {
		annotations[name] = text
		if text == "" {
			annotations[name] = nil
		}
	}
	by := r.by.Texts
	if by == nil {
		by = r.runs
	}
	if err := checkPending(run); err != nil {
		return err
	}
	_, err := r.patchBy(ctx, by, key, run, map[string]any{"metadata": map[string]any{"annotations": annotations}})
	return err
}

// Shown returns the annotations for people on a waiting run, according to the cache; false for a
// stub, of which the cache does not keep them.
func (r *Runs) Shown(key queue.Key, run queue.Run) (texts map[string]string, known bool) {
	texts = map[string]string{}
	is := r.get(key.Namespace, run.Name)
	if is == nil || is.uid != run.UID {
		return texts, true
	}
	if is.stub {
		return nil, false
	}
	annotations := is.Run().Annotations
	for _, name := range waiting {
		if text := annotations[name]; text != "" && usable(name, text) == nil {
			texts[name] = text
		}
	}
	return texts, true
}

// stamp renders a time for people and programs.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Fence implements engine.Runs with one merge patch of annotations. If the run has been started,
// the patch is refused, since the start changed its version. Without a claim, Kueue may not start
// it.
func (r *Runs) Fence(ctx context.Context, key queue.Key, run queue.Run, attempt int, notBefore time.Time) error {
	_, err := r.patchPending(ctx, key, run, map[string]any{"metadata": map[string]any{"annotations": map[string]any{
		Attempt:   strconv.Itoa(attempt),
		NotBefore: stamp(notBefore),
		Claim:     nil,
	}}})
	return err
}

// Stamp implements engine.Runs with one merge patch of an annotation. A run that already has one
// has another version since, unless it was there when observed and could not be read.
func (r *Runs) Stamp(ctx context.Context, key queue.Key, run queue.Run, arrival queue.Arrival) error {
	_, err := r.patch(ctx, key, run, map[string]any{"metadata": map[string]any{"annotations": map[string]any{
		Arrived: arrival.String(),
	}}})
	return err
}

// Cancel implements engine.Runs. A started run gets the status that PAC itself uses
// (pkg/pipelineascode/cancel_pipelineruns.go, cancelMergePatch), with which its finally tasks still
// run. With that status they would run for a pending run too, above the limit and with nothing to
// tidy up, so a pending run is cancelled outright.
func (r *Runs) Cancel(ctx context.Context, key queue.Key, a queue.Cancel) error {
	run := a.Run
	patch := map[string]any{"spec": map[string]any{"status": tektonv1.PipelineRunSpecStatusCancelledRunFinally}}
	if run.Phase == queue.Pending || run.Kueue.Passed {
		annotations := noLonger()
		annotations[Reason] = Fit(Reason, "cancelled: "+a.Why())
		patch = map[string]any{
			"metadata": map[string]any{"annotations": annotations},
			"spec":     map[string]any{"status": tektonv1.PipelineRunSpecStatusCancelled},
		}
	}
	_, err := r.patch(ctx, key, run, patch)
	return err
}

// HandBack implements engine.Runs. It reads the run first, because the cache does not keep the text
// of an order.
func (r *Runs) HandBack(ctx context.Context, key queue.Key, run queue.Run) error {
	pr, err := r.runs.PipelineRuns(key.Namespace).Get(ctx, run.Name, metav1.GetOptions{})
	switch {
	case notThere(err):
		return fmt.Errorf("%w: %w", engine.ErrStale, err)
	case err != nil:
		return err
	case string(pr.UID) != run.UID, pr.ResourceVersion != run.Version:
		return fmt.Errorf("%w: it has changed", engine.ErrStale)
	}
	written, err := r.patchPending(ctx, key, run, handedBack(pr, run))
	if err != nil {
		return err
	}
	return stillHeld(written)
}

// Forget implements engine.Runs with one merge patch of a label.
func (r *Runs) Forget(ctx context.Context, key queue.Key, run queue.Run) error {
	_, err := r.patch(ctx, key, run, map[string]any{"metadata": map[string]any{"labels": map[string]any{FinishedLabel: "true"}}})
	return err
}

// patchPending patches a run, and refuses to if it was not pending when observed.
func (r *Runs) patchPending(ctx context.Context, key queue.Key, run queue.Run, patch map[string]any) (*tektonv1.PipelineRun, error) {
	if err := checkPending(run); err != nil {
		return nil, err
	}
	return r.patch(ctx, key, run, patch)
}

func checkPending(run queue.Run) error {
	if run.Phase != queue.Pending {
		return fmt.Errorf("%w: it is %s", engine.ErrStale, run.Phase)
	}
	return nil
}

// patch patches a run. If that is refused because the run has changed, it reads the run: an API
// server that has much to do sends its news seconds later, and the same patch would be refused
// again and again until then.
func (r *Runs) patch(ctx context.Context, key queue.Key, run queue.Run, patch map[string]any) (*tektonv1.PipelineRun, error) {
	pr, err := r.patchBy(ctx, r.runs, key, run, patch)
	if apierrors.IsConflict(err) {
		r.learn(ctx, key, run)
	}
	return pr, err
}

// learn reads a run that is not as it was observed, and shows it to the next looks.
func (r *Runs) learn(ctx context.Context, key queue.Key, run queue.Run) {
	pr, err := r.runs.PipelineRuns(key.Namespace).Get(ctx, run.Name, metav1.GetOptions{})
	if err != nil || string(pr.UID) != run.UID {
		return
	}
	was := r.get(key.Namespace, run.Name)
	is := r.note(key, pr)
	if r.by.Learnt != nil && was != nil && was.version != is.version {
		r.by.Learnt(was, is)
	}
}

func (r *Runs) patchBy(
	ctx context.Context, by tektonclient.PipelineRunsGetter, key queue.Key, run queue.Run, patch map[string]any,
) (*tektonv1.PipelineRun, error) {
	pr, err := patchRun(ctx, by, key.Namespace, run, patch)
	if err != nil {
		return nil, err
	}
	r.note(key, pr)
	return pr, nil
}

// note shows the run, as the API server has answered, to the next looks. It returns what they see.
func (r *Runs) note(key queue.Key, pr *tektonv1.PipelineRun) *Cached {
	is := cached(Trim(pr))
	r.written.note(key, is)
	return is
}

// patchRun sends one merge patch. The API server answers 409 when the UID or the
// resourceVersion in it differs from the object's.
func patchRun(ctx context.Context, runs tektonclient.PipelineRunsGetter, namespace string, run queue.Run,
	patch map[string]any,
) (*tektonv1.PipelineRun, error) {
	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		patch["metadata"] = metadata
	}
	metadata["uid"], metadata["resourceVersion"] = run.UID, run.Version
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	pr, err := runs.PipelineRuns(namespace).Patch(ctx, run.Name, types.MergePatchType, body, metav1.PatchOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: %w", engine.ErrStale, err)
	}
	return pr, err
}

func byQueue(obj any) ([]string, error) {
	if run, ok := obj.(*Cached); ok {
		if key, ok := run.Key(); ok {
			if _, over := run.endOf(); !over {
				return []string{key.String()}, nil
			}
		}
	}
	return nil, nil
}

func byEnd(obj any) ([]string, error) {
	if run, ok := obj.(*Cached); ok {
		if key, ok := run.Key(); ok {
			if period, over := run.endOf(); over {
				return []string{ending(key, period)}, nil
			}
		}
	}
	return nil, nil
}

func periodOf(t time.Time) int64 { return t.Unix() / int64(period/time.Second) }

// lately are the periods that a look has. The next one is among them because clocks differ.
func lately(now time.Time) []int64 {
	is := periodOf(now)
	return []int64{is - 1, is, is + 1}
}

// ending is the value in indexOver of the runs of a queue that ended in a period.
func ending(key queue.Key, period int64) string { return fmt.Sprintf("%s %d", key, period) }
