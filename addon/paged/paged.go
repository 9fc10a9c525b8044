// Package paged reads long lists in little memory.
//
// Guaranteed: no more than one page of whole objects is in memory for each reader that the gate
// lets in, however long the list and however large its objects: an object may have 1.5 MiB, and a
// tenant writes as many as it likes. All pages are of one instant. Between two pages, other readers
// get their turn, so a long list delays a short one by a page at most.
package paged

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// size of a page, in objects.
const size = 16

// Gate lets a number of readers in at a time, of all that share it. A nil Gate lets in everybody.
type Gate chan struct{}

// NewGate returns a gate for so many readers.
func NewGate(readers int) Gate { return make(Gate, readers) }

// Each lists page by page, and calls do for every object. It must not keep the object, only what it
// copies of it. The error is that of the list, and what has been seen until then is incomplete.
func Each[T any](ctx context.Context, gate Gate, o metav1.ListOptions,
	list func(context.Context, metav1.ListOptions) (items []T, next string, err error), do func(*T),
) error {
	o.Limit = size
	for {
		next, err := page(ctx, gate, o, list, do)
		if err != nil || next == "" {
			return err
		}
		o.Continue = next
	}
}

func page[T any](ctx context.Context, gate Gate, o metav1.ListOptions,
	list func(context.Context, metav1.ListOptions) ([]T, string, error), do func(*T),
) (next string, err error) {
	if gate != nil {
		select {
		case gate <- struct{}{}:
			defer func() { <-gate }()
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	items, next, err := list(ctx, o)
	if err != nil {
		return "", err
	}
	for i := range items {
		do(&items[i])
	}
	return next, nil
}
