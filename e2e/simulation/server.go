package simulation

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// kind is a kind of objects that the server keeps.
type kind int

const (
	runs kind = iota
	leases
	repositories
	runQueues
	kinds
)

func (k kind) String() string { return [...]string{"run", "lease", "repository", "RunQueue"}[k] }

var resources = [kinds]schema.GroupResource{
	{Group: "tekton.dev", Resource: "pipelineruns"},
	{Group: "coordination.k8s.io", Resource: "leases"},
	{Group: "pipelinesascode.tekton.dev", Resource: "repositories"},
	{Group: "pac-lease-queue.dev", Resource: "runqueues"},
}

// object is what the server keeps. A stored one is never changed: caches and
// histories share it.
type object interface {
	metav1.Object
	runtime.Object
}

// change is one commit; is or was is nil where the object did not exist.
type change struct {
	kind    kind
	at      time.Time
	was, is object
}

func (c change) id() string {
	if c.is != nil {
		return id(c.is)
	}
	return id(c.was)
}

func id(o metav1.Object) string { return o.GetNamespace() + "/" + o.GetName() }

// server is the API server: objects, and the history that watches deliver.
type server struct {
	clock   func() time.Time
	version int
	born    int
	objects [kinds]map[string]object
	names   [kinds][]string // of what exists, sorted
	history [kinds][]change
	// noted is told every commit, and by whose request if it was a replica's.
	noted func(change, *request)
	// rejected are runs that an admission policy does not let start.
	rejected map[types.UID]bool
}

func newServer(clock func() time.Time) *server {
	s := &server{clock: clock, rejected: map[types.UID]bool{}}
	for k := range s.objects {
		s.objects[k] = map[string]object{}
	}
	return s
}

// create stores a new object.
func (s *server) create(k kind, o object, by *request) object {
	s.born++
	o.SetUID(types.UID(fmt.Sprintf("uid-%d", s.born)))
	o.SetCreationTimestamp(metav1.NewTime(s.clock().Truncate(time.Second)))
	return s.commit(change{kind: k, is: o}, by)
}

// replace stores an object in place of the one that it was made from.
func (s *server) replace(k kind, was, is object, by *request) object {
	return s.commit(change{kind: k, was: was, is: is}, by)
}

func (s *server) remove(k kind, was object, by *request) {
	s.commit(change{kind: k, was: was}, by)
}

func (s *server) commit(c change, by *request) object {
	s.version++
	c.at = s.clock()
	names := &s.names[c.kind]
	place, exists := slices.BinarySearch(*names, c.id())
	switch {
	case c.is == nil:
		delete(s.objects[c.kind], c.id())
		*names = slices.Delete(*names, place, place+1)
	default:
		if !exists {
			*names = slices.Insert(*names, place, c.id())
		}
		c.is.SetResourceVersion(strconv.Itoa(s.version))
		s.objects[c.kind][c.id()] = c.is
	}
	s.history[c.kind] = append(s.history[c.kind], c)
	s.noted(c, by)
	return c.is
}

// list returns what the selector lets through, by name.
func (s *server) list(k kind, namespace string, selector labels.Selector) []object {
	var list []object
	for _, name := range s.names[k] {
		o := s.objects[k][name]
		if (namespace == "" || o.GetNamespace() == namespace) && selector.Matches(labels.Set(o.GetLabels())) {
			list = append(list, o)
		}
	}
	return list
}

// at is what existed after so many commits of a kind.
func (s *server) at(k kind, position int) map[string]object {
	then := map[string]object{}
	for _, c := range s.history[k][:position] {
		if c.is == nil {
			delete(then, c.id())
		} else {
			then[c.id()] = c.is
		}
	}
	return then
}

// position is how many commits of a kind there were up to a time.
func (s *server) position(k kind, t time.Time) int {
	n, _ := slices.BinarySearchFunc(s.history[k], t, func(c change, t time.Time) int {
		if c.at.After(t) {
			return 1
		}
		return -1
	})
	return n
}
