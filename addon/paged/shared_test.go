package paged_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/paged"
)

// TestSharedListsAreFresh: whoever asks gets a list for its own name that began after it had asked,
// of each namespace one is under way at a time, and a crowd costs few.
func TestSharedListsAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type list struct {
			began time.Time
			names []string
		}
		var lists, most atomic.Int32
		var mu sync.Mutex
		underWay := map[string]int32{}
		enter := func(namespace string, by int32) {
			mu.Lock()
			defer mu.Unlock()
			underWay[namespace] += by
			most.Store(max(most.Load(), underWay[namespace]))
		}
		read := func(_ context.Context, namespace string, names []string) (list, error) {
			enter(namespace, 1)
			defer enter(namespace, -1)
			lists.Add(1)
			is := list{time.Now(), slices.Clone(names)}
			time.Sleep(time.Second)
			return is, nil
		}
		s := &paged.Shared[list]{Most: 50, Timeout: time.Minute, Read: read}
		var callers sync.WaitGroup
		for i := range 300 {
			for _, namespace := range []string{"shop", "bank"} {
				callers.Go(func() {
					time.Sleep(time.Duration(i) * 10 * time.Millisecond) // over three seconds
					asked, name := time.Now(), fmt.Sprint("queue-", i%100)
					is, err := s.List(t.Context(), namespace, name)
					if err != nil || is.began.Before(asked) || !slices.Contains(is.names, name) || len(is.names) > s.Most {
						t.Errorf("asked at %s, got a list of %s for %d names, %v", asked, is.began, len(is.names), err)
					}
				})
			}
		}
		callers.Wait()
		if most.Load() != 1 {
			t.Errorf("%d lists of a namespace at a time", most.Load())
		}
		if n := lists.Load(); n > 2*9 {
			t.Errorf("%d lists for two crowds of 300", n)
		}
	})
}

// TestSharedListAlone: who asks alone has a list at once, for its own name only.
func TestSharedListAlone(t *testing.T) {
	s := &paged.Shared[[]string]{Most: 50, Timeout: time.Minute, Read: func(_ context.Context, _ string, names []string) ([]string, error) {
		return slices.Clone(names), nil
	}}
	for range 3 {
		if names, err := s.List(t.Context(), "shop", "app"); err != nil || !slices.Equal(names, []string{"app"}) {
			t.Errorf("listed for %v, %v", names, err)
		}
	}
}

// TestSharedListFails: an error is everybody's who waited for that list, and nobody else's; who
// stops waiting costs nothing.
func TestSharedListFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var asked [][]string
		s := &paged.Shared[int]{Most: 50, Timeout: time.Minute, Read: func(_ context.Context, _ string, names []string) (int, error) {
			asked = append(asked, slices.Clone(names))
			time.Sleep(time.Second)
			if len(asked) == 2 {
				return 0, broken
			}
			return len(asked), nil
		}}
		var callers sync.WaitGroup
		ask := func(name string, patience time.Duration, want error) {
			callers.Go(func() {
				ctx, stop := context.WithTimeout(t.Context(), patience)
				defer stop()
				if _, err := s.List(ctx, "shop", name); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
			})
			synctest.Wait()
		}
		ask("first", time.Minute, nil)
		ask("second", time.Minute, broken)
		ask("impatient", time.Second/2, context.DeadlineExceeded)
		ask("third", time.Minute, broken)
		time.Sleep(1500 * time.Millisecond)
		ask("fourth", time.Minute, nil)
		callers.Wait()
		if got := fmt.Sprint(asked); got != "[[first] [second third] [fourth]]" {
			t.Errorf("lists for %s", got)
		}
	})
}

// TestSharedListTimesOut: a list that hangs ends.
func TestSharedListTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &paged.Shared[int]{Most: 50, Timeout: time.Minute, Read: func(ctx context.Context, _ string, _ []string) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}
		began := time.Now()
		if _, err := s.List(t.Context(), "shop", "app"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
