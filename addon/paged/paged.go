// Package paged reads long lists in little memory.
//
// Guaranteed: no more is in memory than the gate lets in, however long the lists and however large
// the objects: one may have 1.5 MiB, and a tenant writes as many as it likes. Between two pages,
// other readers get their turn. All pages of a list are of one instant.
//
// Most lists are light: their answers have some kilobytes, and many are read at a time. A list
// whose next answer is longer goes on in small pages, of which the gate lets in several, so that
// the lists of one tenant delay neither the light ones nor the short ones of another.
package paged

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Sizes of pages, in objects. A light read begins with a large one. Otherwise the first page of a
// list is small, and so are all others whose predecessor was heavy.
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
	o, more, err := lightPages(ctx, gate, list, do)
	if err != nil || !more {
		return err
	}
	o.Limit = small
	isHeavy := false
	for {
		leave, err := gate.enter(ctx, list.Namespace, isHeavy, int(o.Limit))
		if err != nil {
			return err
		}
		next, _, bytes, err := page(ctx, leave, list, o, do)
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

// lightPages reads the pages up to the first one that is not light. There are more from the
// returned options on if it finds one, or if there is no gate, behind which memory is no matter.
func lightPages[T any](
	ctx context.Context, gate *Gate, list List[T], do func(*T),
) (o metav1.ListOptions, more bool, err error) {
	o = list.Options
	if gate == nil {
		return o, true, nil
	}
	for o.Limit = large; ; {
		leave, err := gate.enterLightly(ctx, list.Namespace)
		if err != nil {
			return o, false, err
		}
		next, objects, bytes, err := page(light(ctx), leave, list, o, do)
		switch {
		case errors.Is(err, errHeavy):
			return o, true, nil
		case err != nil, next == "":
			return o, false, err
		}
		o.Continue, o.Limit = next, lightLimit(objects, bytes)
	}
}

// page reads one page, and leaves the gate after it.
func page[T any](
	ctx context.Context, leave func(), list List[T], o metav1.ListOptions, do func(*T),
) (next string, objects, bytes int, err error) {
	defer leave()
	items, next, err := list.Read(ctx, o)
	if err != nil {
		return "", 0, 0, err
	}
	for i := range items {
		bytes += list.Size(&items[i])
		do(&items[i])
	}
	return next, len(items), bytes, nil
}
