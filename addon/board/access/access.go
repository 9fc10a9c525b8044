// Package access decides who may see the queues of which namespaces.
package access

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
)

var (
	// ErrUnknown says that the sender of a request is not known.
	ErrUnknown = errors.New("the request has no valid bearer token")
	// ErrTooMany says that the address of the sender has shown too many tokens that are none.
	ErrTooMany = errors.New("too many requests without a valid bearer token")
	// ErrUnanswered says that the API server does not tell.
	ErrUnanswered = errors.New("the API server does not tell now what you may see")
)

// Access tells readers apart. It is safe for concurrent use.
type Access interface {
	// Reader returns who sent a request, or one of the errors of this package.
	Reader(r *http.Request) (Reader, error)
}

// Reader is who reads. It is good for some requests only: rights can change. Its errors are
// [ErrUnanswered].
type Reader interface {
	// Sees says whether the reader may see the queues of a namespace.
	Sees(ctx context.Context, namespace string) (bool, error)
	// SeesOf returns what of the namespaces the reader may see.
	SeesOf(ctx context.Context, namespaces []string) (Seen, error)
}

// Seen is a set of namespaces. The zero value is that of all there are, and of those to come.
type Seen struct {
	some  bool
	names map[string]bool
	// Unknown is how many further namespaces were not asked about, because they are too many.
	Unknown int
}

// Only is the set of the given namespaces.
func Only(namespaces []string) Seen {
	s := Seen{some: true, names: map[string]bool{}}
	for _, namespace := range namespaces {
		s.names[namespace] = true
	}
	return s
}

// Has says whether a namespace is among them.
func (s Seen) Has(namespace string) bool { return !s.some || s.names[namespace] }

// String is the same for equal sets only.
func (s Seen) String() string {
	if !s.some {
		return "*"
	}
	return strings.Join(slices.Sorted(maps.Keys(s.names)), ",")
}

// All lets every reader see everything.
type All struct{}

// Reader implements Access.
func (All) Reader(*http.Request) (Reader, error) { return all{}, nil }

type all struct{}

// Sees implements Reader.
func (all) Sees(context.Context, string) (bool, error) { return true, nil }

// SeesOf implements Reader.
func (all) SeesOf(context.Context, []string) (Seen, error) { return Seen{}, nil }
