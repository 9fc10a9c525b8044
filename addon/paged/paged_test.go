package paged_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
)

// pages serves a list of so many numbers.
func pages(total int) func(context.Context, metav1.ListOptions) ([]int, string, error) {
	return func(_ context.Context, o metav1.ListOptions) ([]int, string, error) {
		from := 0
		if o.Continue != "" {
			from, _ = strconv.Atoi(o.Continue)
		}
		var items []int
		for i := from; i < min(total, from+int(o.Limit)); i++ {
			items = append(items, i)
		}
		if from += len(items); from < total {
			return items, strconv.Itoa(from), nil
		}
		return items, "", nil
	}
}

func TestEach(t *testing.T) {
	for _, total := range []int{0, 1, 15, 16, 17, 1000} {
		var got, want []int
		for i := range total {
			want = append(want, i)
		}
		requests := 0
		list := pages(total)
		err := paged.Each(t.Context(), nil, metav1.ListOptions{LabelSelector: "a=b"},
			func(ctx context.Context, o metav1.ListOptions) ([]int, string, error) {
				requests++
				if o.LabelSelector != "a=b" || o.Limit != 16 {
					t.Errorf("asked with %+v", o)
				}
				return list(ctx, o)
			}, func(i *int) { got = append(got, *i) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("of %d: error %v, got %d: %v", total, err, len(got), got)
		}
		if least := max(1, (total+15)/16); requests != least {
			t.Errorf("of %d: %d requests, want %d", total, requests, least)
		}
	}
}

// TestGate: readers of one gate take turns, page by page.
func TestGate(t *testing.T) {
	gate := paged.NewGate(2)
	var inside, most atomic.Int32
	list := pages(100)
	var readers errgroup.Group
	for range 8 {
		readers.Go(func() error {
			seen := 0
			err := paged.Each(t.Context(), gate, metav1.ListOptions{},
				func(ctx context.Context, o metav1.ListOptions) ([]int, string, error) {
					now := inside.Add(1)
					defer inside.Add(-1)
					for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
					}
					return list(ctx, o)
				}, func(*int) { seen++ })
			if seen != 100 {
				return fmt.Errorf("a reader saw %d of 100", seen)
			}
			return err
		})
	}
	if err := readers.Wait(); err != nil {
		t.Error(err)
	}
	if most.Load() > 2 {
		t.Errorf("%d readers at a time, want 2 at most", most.Load())
	}
}

// TestGateShut: who waits at the gate leaves when its time is over.
func TestGateShut(t *testing.T) {
	gate := paged.NewGate(1)
	gate <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := paged.Each(ctx, gate, metav1.ListOptions{}, pages(1), func(*int) { t.Error("read without being let in") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}
