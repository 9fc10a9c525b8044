package simulation

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// informer is an informer whose watch delivers when the scheduler says so.
type informer struct {
	cache.SharedIndexInformer // what is not used panics
	server                    *server
	kind                      kind
	selector                  labels.Selector
	transform                 cache.TransformFunc
	indexer                   sorted
	// wake is what the event handlers do, and moved what they do before, except with the first
	// list; was is nil for what is new. News that can wait is looked at a moment later.
	wake  func(o object, canWait bool)
	moved func(was, is any)

	listing []object // of the first list, what has not been processed yet
	synced  bool
	seen    int // how much of the history the cache shows
	// raw has what the cache has, before it was trimmed.
	raw map[string]object
	// noteRequest takes the options of every list before it is made, handlers take every event, and
	// inSync is how much of the history the informer had when its last list or event was through.
	noteRequest func(metav1.ListOptions)
	handlers    []cache.ResourceEventHandler
	inSync      string
	// dropped are the objects that the watch shows no more.
	dropped map[types.UID]bool
	// watched are the objects of which the watch has shown everything.
	watched map[types.UID]bool
}

func newInformer(s *server, k kind, selector labels.Selector, transform cache.TransformFunc, wake func(object, bool),
	moved func(was, is any),
) *informer {
	return &informer{
		server: s, kind: k, selector: selector, transform: transform, wake: wake, moved: moved, raw: map[string]object{},
		indexer:     sorted{cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})},
		noteRequest: func(metav1.ListOptions) {}, watched: map[types.UID]bool{}, dropped: map[types.UID]bool{},
	}
}

func (i *informer) AddIndexers(x cache.Indexers) error { return i.indexer.AddIndexers(x) }
func (i *informer) GetStore() cache.Store              { return i.indexer }
func (i *informer) GetIndexer() cache.Indexer          { return i.indexer }
func (i *informer) HasSynced() bool                    { return i.synced }
func (i *informer) LastSyncResourceVersion() string    { return i.inSync }

func (i *informer) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	i.handlers = append(i.handlers, h)
	return nil, nil
}

// start is the first list, as of a point in the history.
func (i *informer) start(position int) {
	i.seen = position
	i.noteRequest(metav1.ListOptions{})
	then := i.server.at(i.kind, position)
	for _, name := range slices.Sorted(maps.Keys(then)) {
		if i.selects(then[name]) {
			i.listing = append(i.listing, then[name])
		}
	}
	i.sync()
}

// sync says that the list is through, if it is.
func (i *informer) sync() {
	if i.synced = len(i.listing) == 0; i.synced {
		i.inSync = strconv.Itoa(i.seen)
	}
}

func (i *informer) selects(o object) bool {
	return o != nil && i.selector.Matches(labels.Set(o.GetLabels()))
}

// behind says that there is something to deliver.
func (i *informer) behind() bool {
	return !i.synced || i.seen < len(i.server.history[i.kind])
}

// deliver processes one object of the first list, or one event.
func (i *informer) deliver() {
	if !i.synced {
		i.put(i.listing[0])
		i.listing = i.listing[1:]
		i.sync()
		return
	}
	c := i.server.history[i.kind][i.seen]
	i.seen++
	switch {
	case i.selects(c.is):
		if c.was == nil {
			i.watched[c.is.GetUID()] = true
		}
		i.put(c.is)
	case i.selects(c.was):
		i.drop(c.was)
	}
	i.sync()
}

func (i *informer) put(o object) {
	trimmed, err := i.transform(o)
	if err != nil {
		panic(err)
	}
	was, known, err := i.indexer.GetByKey(id(o))
	if err == nil {
		err = i.indexer.Update(trimmed)
	}
	if err != nil {
		panic(err)
	}
	i.raw[id(o)] = o
	for _, h := range i.handlers {
		if known {
			h.OnUpdate(was, trimmed)
		} else {
			h.OnAdd(trimmed, false)
		}
	}
	if !known || isNews(was, trimmed) {
		if i.synced {
			i.moved(was, trimmed)
		}
		i.wake(o, pac.CanWait(was, trimmed) || lease.CanWait(trimmed))
	}
}

// isNews says what addon/controller does.
func isNews(was, is any) bool {
	if _, shapes := is.(*runqueue.Cached); shapes {
		return runqueue.IsNews(was, is)
	}
	return pac.IsNews(was, is)
}

func (i *informer) drop(o object) {
	trimmed, err := i.transform(o) // the event has been through it, too
	if err != nil {
		panic(err)
	}
	if err := i.indexer.Delete(o); err != nil {
		panic(err)
	}
	delete(i.raw, id(o))
	delete(i.watched, o.GetUID())
	i.dropped[o.GetUID()] = true
	for _, h := range i.handlers {
		h.OnDelete(trimmed)
	}
	i.wake(o, false)
}

// relist is what happens when a watch cannot be resumed: the cache jumps, and
// what lay between is never seen.
func (i *informer) relist(position int) {
	if !i.synced || position <= i.seen {
		return
	}
	i.seen = position
	i.noteRequest(metav1.ListOptions{})
	defer i.sync()
	then := i.server.at(i.kind, position)
	for _, name := range slices.Sorted(maps.Keys(i.raw)) {
		if !i.selects(then[name]) {
			i.drop(i.raw[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(then)) {
		if o := then[name]; i.selects(o) && i.raw[name] != o {
			i.put(o)
		}
	}
}

// sorted is an indexer that answers in the order of names: a map's order would
// make a seed mean something else every time.
type sorted struct{ cache.Indexer }

func (s sorted) List() []any { return byName(s.Indexer.List()) }

func (s sorted) ByIndex(index, value string) ([]any, error) {
	list, err := s.Indexer.ByIndex(index, value)
	return byName(list), err
}

func (s sorted) IndexKeys(index, value string) ([]string, error) {
	keys, err := s.Indexer.IndexKeys(index, value)
	slices.Sort(keys)
	return keys, err
}

func byName(list []any) []any {
	slices.SortFunc(list, func(a, b any) int {
		return cmp.Compare(keyIn(a), keyIn(b))
	})
	return list
}

func keyIn(obj any) string {
	key, err := cache.MetaNamespaceKeyFunc(obj)
	if err != nil {
		panic(err)
	}
	return key
}
