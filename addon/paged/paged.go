// Package paged reads long lists in little memory.
//
// Guaranteed: no more whole objects are in memory than the gate lets in, however long the lists and
// however large the objects: one may have 1.5 MiB, and a tenant writes as many as it likes. All
// pages of a list are of one instant. Between two pages, other readers get their turn. Lists of
// heavy objects are read in small pages, of which the gate lets in several, so that those of one
// tenant do not delay a short list of another.
package paged

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Sizes of pages, in objects. The first page of a list is small, and so are all others whose
// predecessor was heavy.
const (
	small = 4
	large = 16
	// heavy is the average size of an object, in bytes, from which on a page is.
	heavy = 64 << 10
	// heavyLists is how many lists are beyond their first page and heavy at a time, for each large
	// page that the gate lets in. That leaves room for the first pages of others.
	heavyLists = 2
)

// List is a list of objects in one namespace.
type List[T any] struct {
	Namespace string
	Options   metav1.ListOptions
	// Read reads one page.
	Read func(context.Context, metav1.ListOptions) (items []T, next string, err error)
	// Size is about how many bytes an object has.
	Size func(*T) int
}

// Each lists page by page, and calls do for every object. It must not keep the object, only what it
// copies of it. The error is that of the list, and what has been seen until then is incomplete.
func Each[T any](ctx context.Context, gate *Gate, list List[T], do func(*T)) error {
	o := list.Options
	o.Limit = small
	isHeavy := false
	for {
		next, bytes, err := page(ctx, gate, isHeavy, list, o, do)
		if err != nil || next == "" {
			return err
		}
		o.Continue = next
		if isHeavy = bytes >= heavy*int(o.Limit); isHeavy {
			o.Limit = small
		} else {
			o.Limit = large
		}
	}
}

func page[T any](
	ctx context.Context, gate *Gate, isHeavy bool, list List[T], o metav1.ListOptions, do func(*T),
) (next string, bytes int, err error) {
	leave, err := gate.enter(ctx, list.Namespace, isHeavy, int(o.Limit))
	if err != nil {
		return "", 0, err
	}
	defer leave()
	items, next, err := list.Read(ctx, o)
	if err != nil {
		return "", 0, err
	}
	for i := range items {
		bytes += list.Size(&items[i])
		do(&items[i])
	}
	return next, bytes, nil
}
