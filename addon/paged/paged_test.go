package paged_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

func light(*int) int { return 2 << 10 }
func heavy(*int) int { return 900 << 10 }

// answers is a server whose answers have so many bytes.
type answers int

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{Body: io.NopCloser(io.LimitReader(zeroes{}, int64(a)))}, nil
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

// transfer has a client read an answer of so many bytes.
func transfer(ctx context.Context, bytes int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://cluster", nil)
	if err != nil {
		return err
	}
	response, err := paged.Through(answers(bytes)).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	read, err := io.Copy(io.Discard, response.Body)
	if err == nil && read != int64(bytes) {
		err = fmt.Errorf("read %d of %d bytes", read, bytes)
	}
	return errors.Join(err, response.Body.Close())
}

// TestLight: light lists are read in few pages, many at a time, also of one namespace; one that
// turns out to be heavy goes on in small pages, one reader at a time.
func TestLight(t *testing.T) {
	for name, tc := range map[string]struct {
		size     func(*int) int
		want     []int64 // pages
		together int64
	}{
		"light": {light, []int64{16, 64, 64, 64}, 16},
		"heavy": {heavy, []int64{16, 4, 4, 4}, 1},
		"heavy in the end": {func(i *int) int {
			if *i < 60 {
				return light(i)
			}
			return heavy(i)
		}, []int64{16, 64, 4, 16, 16, 16, 4, 4}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := paged.NewGate(1)
				var inside, most atomic.Int64
				limits := make([][]int64, 20)
				var readers errgroup.Group
				for reader := range 20 {
					readers.Go(func() error {
						seen := 0
						read := pages(200)
						err := paged.Each(t.Context(), gate, paged.List[int]{
							Namespace: "shop", Size: tc.size,
							Read: func(ctx context.Context, o metav1.ListOptions) ([]int, string, error) {
								limits[reader] = append(limits[reader], o.Limit)
								items, next, err := read(ctx, o)
								bytes := 0
								for i := range items {
									bytes += tc.size(&items[i])
								}
								if err = errors.Join(err, transfer(ctx, bytes)); err != nil {
									return nil, "", err
								}
								most.Store(max(most.Load(), inside.Add(1)))
								time.Sleep(time.Second)
								inside.Add(-1)
								return items, next, nil
							},
						}, func(i *int) {
							if *i == seen {
								seen++
							}
						})
						if seen != 200 {
							err = errors.Join(err, fmt.Errorf("saw %d of 200, in order", seen))
						}
						return err
					})
				}
				if err := readers.Wait(); err != nil {
					t.Error(err)
				}
				if is := limits[0]; !slices.Equal(is[:min(len(is), len(tc.want))], tc.want) {
					t.Errorf("pages of %v, want %v", is, tc.want)
				}
				if tc.together > 0 && most.Load() != tc.together {
					t.Errorf("%d readers at a time, want %d", most.Load(), tc.together)
				}
			})
		})
	}
}

func TestEach(t *testing.T) {
	for _, total := range []int{0, 1, 4, 5, 20, 21, 1000} {
		var got, want []int
		for i := range total {
			want = append(want, i)
		}
		var limits []int64
		read := pages(total)
		err := paged.Each(t.Context(), nil, paged.List[int]{
			Options: metav1.ListOptions{LabelSelector: "a=b"}, Size: light,
			Read: func(ctx context.Context, o metav1.ListOptions) ([]int, string, error) {
				limits = append(limits, o.Limit)
				if o.LabelSelector != "a=b" {
					t.Errorf("asked with %+v", o)
				}
				return read(ctx, o)
			},
		}, func(i *int) { got = append(got, *i) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("of %d: error %v, got %d: %v", total, err, len(got), got)
		}
		if least := 1 + max(0, total-4+15)/16; len(limits) != least || limits[0] != 4 || len(limits) > 1 && limits[1] != 16 {
			t.Errorf("of %d: pages of %v, want %d, the first of 4", total, limits, least)
		}
	}
}

// TestHeavy: pages stay small while their objects are heavy, and become small again.
func TestHeavy(t *testing.T) {
	var limits []int64
	read := pages(44)
	err := paged.Each(t.Context(), nil, paged.List[int]{
		Size: func(i *int) int {
			if *i >= 4 && *i < 28 {
				return heavy(i)
			}
			return light(i)
		},
		Read: func(ctx context.Context, o metav1.ListOptions) ([]int, string, error) {
			limits = append(limits, o.Limit)
			return read(ctx, o)
		},
	}, func(*int) {})
	if want := []int64{4, 16, 4, 4, 4, 16}; err != nil || !slices.Equal(limits, want) {
		t.Errorf("error %v, pages of %v, want %v", err, limits, want)
	}
}

// TestGate: no more objects are in memory than the gate lets in, and one reader of a namespace.
func TestGate(t *testing.T) {
	gate := paged.NewGate(2)
	var inside, most atomic.Int64
	var readers errgroup.Group
	read := pages(100)
	for i := range 12 {
		namespace := fmt.Sprintf("namespace-%d", i%6)
		size := light
		if i%2 == 0 {
			size = heavy
		}
		readers.Go(func() error {
			seen := 0
			err := paged.Each(t.Context(), gate, paged.List[int]{
				Namespace: namespace, Size: size,
				Read: func(ctx context.Context, o metav1.ListOptions) ([]int, string, error) {
					if err := transfer(ctx, int(o.Limit)*heavy(nil)); err != nil {
						return nil, "", err
					}
					now := inside.Add(o.Limit)
					defer inside.Add(-o.Limit)
					for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
					}
					return read(ctx, o)
				},
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
	if most.Load() > 32 {
		t.Errorf("%d objects at a time, want 32 at most", most.Load())
	}
}

// TestGateOfNamespaces: namespaces that read many lists of heavy objects keep their own readers
// waiting, and no other reader's. This is case T2 for the others.
func TestGateOfNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, reading := paged.NewGate(1), make(chan struct{})
		var inside atomic.Int64
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for i := range 9 {
			first := true
			go func() {
				_ = paged.Each(ctx, gate, paged.List[int]{
					Namespace: fmt.Sprintf("hostile-%d", i%3), Size: heavy,
					Read: func(ctx context.Context, o metav1.ListOptions) ([]int, string, error) {
						if err := transfer(ctx, int(o.Limit)*heavy(nil)); err != nil {
							return nil, "", err
						}
						if first {
							first = false
							return make([]int, o.Limit), "more", nil
						}
						inside.Add(1)
						defer inside.Add(-1)
						select {
						case <-reading:
						case <-ctx.Done():
						}
						return nil, "", nil
					},
				}, func(*int) {})
			}()
		}
		synctest.Wait()
		if inside.Load() != 2 {
			t.Errorf("%d long lists are read at a time, want 2", inside.Load())
		}
		seen := false
		within, late := context.WithTimeout(ctx, time.Minute)
		defer late()
		err := paged.Each(within, gate, paged.List[int]{Namespace: "honest", Read: pages(1), Size: light}, func(*int) { seen = true })
		if err != nil || !seen {
			t.Errorf("the honest list was read: %t, error %v", seen, err)
		}
		stop()
		synctest.Wait()
	})
}

// TestGateShut: who waits at the gate leaves when its time is over.
func TestGateShut(t *testing.T) {
	gate := paged.NewGate(1)
	inside, leave := make(chan struct{}), make(chan struct{})
	var first errgroup.Group
	first.Go(func() error {
		return paged.Each(context.Background(), gate, paged.List[int]{
			Namespace: "a", Size: light,
			Read: func(ctx context.Context, o metav1.ListOptions) ([]int, string, error) {
				if err := transfer(ctx, int(o.Limit)*heavy(nil)); err != nil {
					return nil, "", err
				}
				close(inside)
				<-leave
				return nil, "", nil
			},
		}, func(*int) {})
	})
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	late := paged.List[int]{Namespace: "a", Read: pages(1), Size: light}
	err := paged.Each(ctx, gate, late, func(*int) { t.Error("read without being let in") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	close(leave)
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
	if err := paged.Each(t.Context(), gate, late, func(*int) {}); err != nil {
		t.Error(err)
	}
}
