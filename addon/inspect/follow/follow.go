package follow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

const (
	// settingsEvery separates two looks at the settings, and at why starts are refused.
	settingsEvery = 15 * time.Second
	// settingsTimeout bounds one.
	settingsTimeout = 30 * time.Second
)

// Config says what to follow; all of it is required but Namespaces and Addon.
type Config struct {
	Clients inspect.Clients
	// Namespaces of the queues; all, if there are none.
	Namespaces []string
	// Addon is the namespace of the installation; empty if it is to be looked for.
	Addon string
	Clock clock.WithTicker
	Observer
}

// Observer is told of queues. No function of it may wait, or ask the Follower.
type Observer struct {
	// Changed: something has changed in a queue.
	Changed func(queue.Key)
	// AllChanged: something has changed that may concern any queue.
	AllChanged func()
	// Began: Tekton has begun with a run.
	Began func(queue.Key, queue.Run)
	// Ended: a run is over. One that went without an end that was seen counts as deleted.
	Ended func(queue.Key, inspect.Done)
}

// Follower keeps the queues at hand. It is safe for concurrent use.
type Follower struct {
	Config
	spaces map[string]*space // by namespace

	over *over

	mu    sync.Mutex
	known *known
	// due are the queues that were last shown with a start that may be refused, and refusals why it
	// is.
	due      map[queue.Key]bool
	refusals map[queue.Key]map[string]string
}

// Start returns a Follower that follows until the context ends, once it has seen all there is. An
// error says which right the user lacks, or that the API server does not answer.
func Start(ctx context.Context, c Config) (*Follower, error) {
	f := &Follower{Config: c, spaces: map[string]*space{}, over: newOver(), due: map[queue.Key]bool{}}
	settings, err := f.readSettings(ctx)
	if err != nil {
		return nil, err
	}
	f.known = newKnown(settings)
	for _, namespace := range f.namespaces() {
		if f.spaces[namespace], err = newSpace(ctx, f, namespace); err != nil {
			return nil, err
		}
	}
	for _, s := range f.spaces {
		if err := s.watches.Fill(ctx); err != nil {
			return nil, err
		}
	}
	go f.followSettings(ctx)
	return f, nil
}

func (f *Follower) namespaces() []string {
	if len(f.Namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	return f.Namespaces
}

// Unseen says what could not be read, settings included.
func (f *Follower) Unseen() []string {
	all := f.Settings().Unseen()
	for _, namespace := range f.namespaces() {
		if s := f.spaces[namespace]; s.hidden != "" {
			all = append(all, s.hidden)
		}
	}
	return all
}

// Settings are those in force.
func (f *Follower) Settings() *inspect.Settings { return f.knows().Settings }

func (f *Follower) knows() *known {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known
}

// space returns the one that has the queues of a namespace; nil if none has.
func (f *Follower) space(namespace string) *space {
	if s, ok := f.spaces[namespace]; ok {
		return s
	}
	return f.spaces[metav1.NamespaceAll]
}

// Follows says whether the queues of a namespace are followed.
func (f *Follower) Follows(namespace string) bool { return f.space(namespace) != nil }

// Keys lists what may be queues, each once, in order.
func (f *Follower) Keys() []queue.Key {
	set := map[queue.Key]bool{}
	for _, s := range f.spaces {
		for _, key := range s.keys() {
			set[key] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), queue.Key.Compare)
}

// Queue shows a queue as it is now; false if there is none of that name.
func (f *Follower) Queue(key queue.Key) (inspect.Queue, bool) {
	s := f.space(key.Namespace)
	if s == nil {
		return inspect.Queue{}, false
	}
	f.mu.Lock()
	known, refusals := f.known, f.refusals[key]
	f.mu.Unlock()
	done := f.over.of(key)
	now := f.Clock.Now()
	snapshot, missing, problems, err := s.snapshot(key, now)
	if err != nil {
		return inspect.Queue{}, false // caches always answer
	}
	markUnread(snapshot, done)
	q := known.NewQueue(snapshot, missing, done, now)
	q.Problems, q.Refusals = problems, refusals
	f.note(key, q.MayBeRefused())
	return q, q.Exists()
}

func (f *Follower) note(key queue.Key, mayBeRefused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mayBeRefused {
		f.due[key] = true
	} else {
		delete(f.due, key)
	}
}

// markUnread marks the slots of which it is not known what became of the holder: no watch shows it,
// nor has shown its end.
func markUnread(s queue.Snapshot, done []inspect.Done) {
	seen := map[string]bool{}
	for _, r := range s.Runs {
		seen[r.UID] = true
	}
	for _, d := range done {
		seen[d.UID] = true
	}
	for i := range s.Slots {
		slot := &s.Slots[i]
		slot.Unread = slot.Holder != nil && !seen[slot.Holder.UID]
	}
}

// Locate finds the queue of a run that is not over, or was seen to end a short while ago.
func (f *Follower) Locate(namespace, name string) (queue.Key, bool) {
	s := f.space(namespace)
	if s == nil {
		return queue.Key{}, false
	}
	if key, found := s.runs.Locate(namespace, name); found {
		return key, true
	}
	return f.over.locate(namespace, name)
}

// followSettings reads the settings again and again, until the context ends.
func (f *Follower) followSettings(ctx context.Context) {
	ticker := f.Clock.NewTicker(settingsEvery)
	defer ticker.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		err := errors.Join(f.lookAtSettings(ctx), f.lookAtRefusals(ctx))
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			told = ""
		case err.Error() != told:
			told = err.Error()
			klog.FromContext(ctx).Error(err, "Settings, and why starts are refused, stay as they were last seen")
		}
	}
}

func (f *Follower) readSettings(ctx context.Context) (*inspect.Settings, error) {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	return inspect.ReadSettings(ctx, f.Clients, inspect.Scope{Namespace: f.namespaces()[0], Addon: f.Addon})
}

func (f *Follower) lookAtSettings(ctx context.Context) error {
	is, err := f.readSettings(ctx)
	if err != nil {
		return err
	}
	if alike(f.Settings(), is) {
		return nil
	}
	next := newKnown(is)
	f.mu.Lock()
	f.known = next
	f.mu.Unlock()
	f.AllChanged()
	return nil
}

// lookAtRefusals reads why starts are refused, if any is due and does not come about.
func (f *Follower) lookAtRefusals(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	f.mu.Lock()
	keys := slices.Collect(maps.Keys(f.due))
	f.mu.Unlock()
	var due []inspect.Queue
	for _, key := range keys {
		if q, exists := f.Queue(key); exists && q.MayBeRefused() {
			q.Refusals = nil
			due = append(due, q)
		}
	}
	for _, namespace := range f.namespaces() {
		if err := inspect.ReadRefusals(ctx, f.Clients, namespace, due); err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
	refusals := map[queue.Key]map[string]string{}
	for _, q := range due {
		if len(q.Refusals) > 0 {
			refusals[q.Key()] = q.Refusals
		}
	}
	f.mu.Lock()
	was := f.refusals
	f.refusals = refusals
	f.mu.Unlock()
	for _, all := range []map[queue.Key]map[string]string{was, refusals} {
		for key := range all {
			if !maps.Equal(was[key], refusals[key]) {
				f.Changed(key)
			}
		}
	}
	return nil
}
