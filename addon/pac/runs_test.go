package pac_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// request is what arrived at the API server.
type request struct {
	Method, Path, Query, ContentType string
	Body                             map[string]any
}

// apiServer answers every request by one function and keeps what it was asked.
type apiServer struct {
	mu       sync.Mutex
	requests []request
}

func (s *apiServer) got() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// newRuns returns Runs that talk to a server which answers like that, and
// whose informer holds the given runs.
func newRuns(t *testing.T, answer http.HandlerFunc, cached ...*tektonv1.PipelineRun) (*pac.Runs, *apiServer, cache.Indexer) {
	t.Helper()
	return newRunsOf(t, pac.By{Replica: "replica-1", Clock: clocktesting.NewFakePassiveClock(noon)}, answer, cached...)
}

func newRunsOf(t *testing.T, by pac.By, answer http.HandlerFunc, cached ...*tektonv1.PipelineRun) (*pac.Runs, *apiServer, cache.Indexer) {
	t.Helper()
	informer := runInformer()
	runs, api := runsFrom(t, by, answer, pac.OfPAC(informer))
	add(t, informer.GetIndexer(), cached...)
	return runs, api, informer.GetIndexer()
}

// runsFrom returns Runs over some sources.
func runsFrom(t *testing.T, by pac.By, answer http.HandlerFunc, sources ...pac.Source) (*pac.Runs, *apiServer) {
	t.Helper()
	api := &apiServer{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, ContentType: r.Header.Get("Content-Type")}
		if body, err := io.ReadAll(r.Body); err != nil {
			t.Errorf("read the request: %v", err)
		} else if len(body) > 0 {
			if err := json.Unmarshal(body, &got.Body); err != nil {
				t.Errorf("request body %s: %v", body, err)
			}
		}
		api.mu.Lock()
		api.requests = append(api.requests, got)
		api.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL, QPS: -1}
	client, err := tektonclient.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := pac.NewRuns(by, client.TektonV1(), pac.MetadataOf(meta), sources...)
	if err != nil {
		t.Fatal(err)
	}
	return runs, api
}

func answer(code int, obj any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(obj)
	}
}

func refusal(err *apierrors.StatusError) http.HandlerFunc {
	status := err.ErrStatus
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	return answer(int(status.Code), status)
}

var pipelineRuns = schema.GroupResource{Group: "tekton.dev", Resource: "pipelineruns"}

// write is one of the writes, the same way every time.
type write func(context.Context, *pac.Runs, queue.Run) error

var writes = map[string]write{
	"start": func(ctx context.Context, r *pac.Runs, run queue.Run) error {
		return r.Start(ctx, shopApp, queue.Start{
			Run: run, Token: queue.Token{Slot: 1, Transition: 12, Attempt: 2},
			Claimed: noon.Add(-1500 * time.Millisecond),
		})
	},
	"fence": func(ctx context.Context, r *pac.Runs, run queue.Run) error {
		return r.Fence(ctx, shopApp, run, 3, noon.Add(1500*time.Millisecond).In(time.FixedZone("", 7200)))
	},
	"stamp": func(ctx context.Context, r *pac.Runs, run queue.Run) error {
		return r.Stamp(ctx, shopApp, run, queue.Arrival{Version: 5, AtMost: true})
	},
	"cancel": func(ctx context.Context, r *pac.Runs, run queue.Run) error {
		return r.Cancel(ctx, shopApp, queue.Cancel{Run: run, By: queue.Run{Name: "newer"}})
	},
	"show": func(ctx context.Context, r *pac.Runs, run queue.Run) error {
		return r.Show(ctx, shopApp, run, map[string]string{pac.Position: "3", pac.Reason: ""})
	},
}

// TestPatch: what goes over the wire is the whole safety argument.
func TestPatch(t *testing.T) {
	for name, want := range map[string]map[string]any{
		"start": {
			"metadata": map[string]any{
				"uid": "uid-1", "resourceVersion": "7",
				"annotations": map[string]any{
					pac.Claim: "1/12/2", pac.Slot: "1", pac.Replica: "replica-1",
					pac.Status: "started", pac.ClaimedAt: "2026-07-01T11:59:58Z", pac.StartedAt: "2026-07-01T12:00:00Z",
					pac.Position: nil, pac.QueueLength: nil, pac.Reason: nil, pac.EstimatedStart: nil,
				},
			},
			"spec": map[string]any{"status": nil},
		},
		"fence": {
			"metadata": map[string]any{
				"uid": "uid-1", "resourceVersion": "7",
				"annotations": map[string]any{pac.Attempt: "3", pac.NotBefore: "2026-07-01T12:00:01Z", pac.Claim: nil},
			},
		},
		"stamp": {
			"metadata": map[string]any{
				"uid": "uid-1", "resourceVersion": "7", "annotations": map[string]any{pac.Arrived: "<=5"},
			},
		},
		"cancel": {
			"metadata": map[string]any{
				"uid": "uid-1", "resourceVersion": "7",
				"annotations": map[string]any{
					pac.Status: nil, pac.Position: nil, pac.QueueLength: nil, pac.Reason: "cancelled: superseded by newer",
					pac.EstimatedStart: nil,
				},
			},
			"spec": map[string]any{"status": "Cancelled"},
		},
		"show": {
			"metadata": map[string]any{
				"uid": "uid-1", "resourceVersion": "7",
				"annotations": map[string]any{pac.Position: "3", pac.Reason: nil},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			runs, api, _ := newRuns(t, answer(http.StatusOK, pipelineRun("build")))
			if err := writes[name](t.Context(), runs, pac.ReadRun(pipelineRun("build"))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]request{{
				Method:      http.MethodPatch,
				Path:        "/apis/tekton.dev/v1/namespaces/shop/pipelineruns/build",
				ContentType: "application/merge-patch+json",
				Body:        want,
			}}, api.got()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReturn: the order goes back to where PAC looks, as PAC writes it, and nothing of the queue is
// left on the run.
func TestReturn(t *testing.T) {
	for held, order := range map[string]string{"shop/build,shop/test": "shop/build,shop/test", pac.Itself: "shop/build"} {
		run := pipelineRun("build", annotated(pac.HeldOrder, held))
		returned := pipelineRun("build", without(pac.HeldOrder), annotated(keys.ExecutionOrder, order))
		runs, api, _ := newRuns(t, inTurn(answer(http.StatusOK, run), answer(http.StatusOK, returned)))
		if err := runs.HandBack(t.Context(), shopApp, pac.ReadRun(run)); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"metadata": map[string]any{
			"uid": "uid-1", "resourceVersion": "7",
			"annotations": map[string]any{
				keys.ExecutionOrder: order, pac.HeldOrder: nil, pac.Attempt: nil, pac.NotBefore: nil, pac.Arrived: nil,
				pac.Status: nil, pac.Position: nil, pac.QueueLength: nil, pac.Reason: nil, pac.EstimatedStart: nil, pac.QueuedAt: nil,
			},
		}}
		if diff := cmp.Diff(want, api.got()[1].Body); diff != "" {
			t.Errorf("patch of a run with the order %s (-want +got):\n%s", held, diff)
		}
	}

	for name, live := range map[string]http.HandlerFunc{
		"changed":  answer(http.StatusOK, pipelineRun("build", func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = "8" })),
		"replaced": answer(http.StatusOK, pipelineRun("build", func(pr *tektonv1.PipelineRun) { pr.UID = "uid-2" })),
		"deleted":  refusal(apierrors.NewNotFound(pipelineRuns, "build")),
	} {
		runs, api, _ := newRuns(t, live)
		if err := runs.HandBack(t.Context(), shopApp, pac.ReadRun(pipelineRun("build"))); !errors.Is(err, engine.ErrStale) ||
			len(api.got()) != 1 {
			t.Errorf("the run was %s since: error %v, want a stale one, and no write: %v", name, err, api.got())
		}
	}

	runs, _, _ := newRuns(t, answer(http.StatusOK, pipelineRun("build")))
	if err := runs.HandBack(t.Context(), shopApp, pac.ReadRun(pipelineRun("build"))); err == nil || !strings.Contains(err.Error(),
		"remove the hold first") {
		t.Errorf("with the hold in force: %v, want an error that says what to do", err)
	}
}

// TestCancelStarted: what runs gets to run its finally tasks, as PAC has it.
func TestCancelStarted(t *testing.T) {
	runs, api, _ := newRuns(t, answer(http.StatusOK, pipelineRun("build")))
	if err := runs.Cancel(t.Context(), shopApp, queue.Cancel{Run: pac.ReadRun(pipelineRun("build", specStatus("")))}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"metadata": map[string]any{"uid": "uid-1", "resourceVersion": "7"},
		"spec":     map[string]any{"status": "CancelledRunFinally"},
	}
	if diff := cmp.Diff(want, api.got()[0].Body); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}

// TestPatchRefused: only an answer that proves the precondition wrong is stale.
// Everything else leaves open whether the write happened.
func TestPatchRefused(t *testing.T) {
	conflict := refusal(apierrors.NewConflict(pipelineRuns, "build", errors.New("the object has been modified")))
	failed := refusal(apierrors.NewInternalError(errors.New("etcd is on fire")))
	for name, tc := range map[string]struct {
		answers   []http.HandlerFunc // the last one from then on
		want      string
		wantStale bool
		// wantRequests is more than one where client-go repeats the request, and reads says that
		// the run is read then, unless the write was only for people.
		wantRequests int
		reads        bool
	}{
		"another version or UID": {
			answers: []http.HandlerFunc{conflict, failed}, want: "the object has been modified", wantStale: true, reads: true,
		},
		"gone": {
			answers: []http.HandlerFunc{refusal(apierrors.NewNotFound(pipelineRuns, "build"))},
			want:    `"build" not found`, wantStale: true,
		},
		"refused by a policy": {
			answers: []http.HandlerFunc{refusal(apierrors.NewForbidden(pipelineRuns, "build", errors.New("a policy says no")))},
			want:    "a policy says no",
		},
		"refused by Tekton": {
			answers: []http.HandlerFunc{refusal(apierrors.NewInvalid(schema.GroupKind{Group: "tekton.dev", Kind: "PipelineRun"}, "build",
				nil))}, want: "is invalid",
		},
		"the server failed": {
			answers: []http.HandlerFunc{failed},
			want:    "etcd is on fire",
		},
		"no Kubernetes answer at all": {
			answers: []http.HandlerFunc{func(w http.ResponseWriter,
				_ *http.Request,
			) {
				http.Error(w, "bad gateway", http.StatusBadGateway)
			}}, want: "bad gateway",
		},
		"the answer cannot be read": {
			answers: []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"kind":"PipelineRun","apiVersion":"tekton.dev/v1","metadata":{"na`))
			}},
			want: "unexpected end of JSON input",
		},
		"the connection was reset": {answers: []http.HandlerFunc{reset(t)}, want: "connection reset by peer"},
		"the server asks to wait, and has done it all the same": {
			// client-go repeats the request; that ErrStale proves nothing about the first.
			answers: []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "0")
				http.Error(w, "timed out", http.StatusInternalServerError)
			}, conflict, failed},
			want: "the object has been modified", wantStale: true, wantRequests: 2, reads: true,
		},
	} {
		for kind, write := range writes {
			t.Run(kind+"/"+name, func(t *testing.T) {
				cached := pipelineRun("build")
				runs, api, _ := newRuns(t, inTurn(tc.answers...), cached)
				err := write(t.Context(), runs, pac.ReadRun(cached))
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("error %v, want %q", err, tc.want)
				}
				if errors.Is(err, engine.ErrStale) != tc.wantStale {
					t.Errorf("error %v is stale: %t, want %t", err, !tc.wantStale, tc.wantStale)
				}
				want := max(1, tc.wantRequests)
				if tc.reads && kind != "show" {
					want++
				}
				if n := len(api.got()); n != want {
					t.Errorf("%d requests, want %d", n, want)
				}
				// Nothing is taken for written.
				checkList(t, runs, pac.ReadRun(cached))
			})
		}
	}
}

// TestPatchTimesOut: the caller gave up, the server may not have.
func TestPatchTimesOut(t *testing.T) {
	for kind, write := range writes {
		t.Run(kind, func(t *testing.T) {
			arrived := make(chan struct{})
			runs, _, _ := newRuns(t, func(_ http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-r.Context().Done()
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-arrived; cancel() }()
			err := write(ctx, runs, pac.ReadRun(pipelineRun("build")))
			if !errors.Is(err, context.Canceled) || errors.Is(err, engine.ErrStale) {
				t.Errorf("error %v, want that of the context and not stale", err)
			}
		})
	}
}

// TestPatchOnlyPending: a run that is not pending is refused without a request.
func TestPatchOnlyPending(t *testing.T) {
	for _, kind := range []string{"start", "fence"} {
		write := writes[kind]
		for name, phase := range map[string]queue.Phase{"started": queue.Started, "done": queue.Done} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				runs, api, _ := newRuns(t, answer(http.StatusOK, pipelineRun("build")))
				run := pac.ReadRun(pipelineRun("build"))
				run.Phase = phase
				if err := write(t.Context(), runs, run); !errors.Is(err, engine.ErrStale) {
					t.Errorf("error %v, want ErrStale", err)
				}
				if got := api.got(); len(got) > 0 {
					t.Errorf("asked the server: %+v", got)
				}
			})
		}
	}
}

// TestRefusedWrite: after a write that was refused because the run has changed, the next look has
// the run as it is, however late the news of it are. Whoever follows the replicas hears of it, too.
func TestRefusedWrite(t *testing.T) {
	cached := pipelineRun("build")
	changed := pipelineRun("build", specStatus(""), annotated(pac.Claim, "1/12/2"), annotated(pac.Replica, "other"),
		func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = "9" })
	another := pipelineRun("build", func(pr *tektonv1.PipelineRun) { pr.UID, pr.ResourceVersion = "another", "9" })
	for name, tc := range map[string]struct {
		now  http.HandlerFunc // what the API server has
		want *tektonv1.PipelineRun
		// known says that the informer has brought the news meanwhile.
		known bool
	}{
		"it was started, which is known": {now: answer(http.StatusOK, changed), want: changed, known: true},
		"it was started":                 {now: answer(http.StatusOK, changed), want: changed},
		"another has taken its name":     {now: answer(http.StatusOK, another), want: cached},
		"it is gone":                     {now: refusal(apierrors.NewNotFound(pipelineRuns, "build")), want: cached},
		"it cannot be read":              {now: refusal(apierrors.NewInternalError(errors.New("etcd is on fire"))), want: cached},
	} {
		for kind, write := range writes {
			if kind == "show" {
				continue // texts can wait for the news
			}
			t.Run(kind+"/"+name, func(t *testing.T) {
				var learnt []string
				by := pac.By{
					Replica: "replica-1", Clock: clocktesting.NewFakePassiveClock(noon),
					Learnt: func(was, is any) {
						replica, moved := pac.Moved(was, is)
						learnt = append(learnt, fmt.Sprint(replica, " ", moved))
					},
				}
				conflict := refusal(apierrors.NewConflict(pipelineRuns, "build", errors.New("the object has been modified")))
				runs, _, informer := newRunsOf(t, by, inTurn(conflict, tc.now), cached)
				if tc.known {
					add(t, informer, tc.want)
				}
				if err := write(t.Context(), runs, pac.ReadRun(cached)); !errors.Is(err, engine.ErrStale) {
					t.Fatalf("error %v, want ErrStale", err)
				}
				checkList(t, runs, pac.ReadRun(tc.want))
				var want []string
				if tc.want == changed && !tc.known {
					want = []string{"other true"}
				}
				if diff := cmp.Diff(want, learnt); diff != "" {
					t.Errorf("told of (-want +got):\n%s", diff)
				}
				newest := pipelineRun("build", func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = "10" })
				add(t, informer, newest)
				checkList(t, runs, pac.ReadRun(newest))
			})
		}
	}
}

// TestOwnWrites: what was written is seen at once, and no longer than it is the
// newest there is.
func TestOwnWrites(t *testing.T) {
	cached := pipelineRun("build")
	written := pipelineRun("build", specStatus(""), annotated(pac.Claim, "1/12/2"),
		func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = "9" })
	runs, _, informer := newRuns(t, answer(http.StatusOK, written), cached)
	checkList(t, runs, pac.ReadRun(cached))

	if err := writes["start"](t.Context(), runs, pac.ReadRun(cached)); err != nil {
		t.Fatal(err)
	}
	checkList(t, runs, pac.ReadRun(written))

	between := pipelineRun("build", func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = "8" })
	add(t, informer, between) // late news
	checkList(t, runs, pac.ReadRun(written))

	newest := pipelineRun("build", specStatus(""), func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = "10" })
	add(t, informer, newest)
	checkList(t, runs, pac.ReadRun(newest))

	if err := informer.Delete(newest); err != nil {
		t.Fatal(err)
	}
	checkList(t, runs)
}

// TestListReadsOnce: a run of the cache is read once for each of its versions, and once more when
// PAC's settings have changed.
func TestListReadsOnce(t *testing.T) {
	owed := pipelineRun("owed", annotated(keys.SecretCreated, "false"), annotated(keys.GitProvider, "gitea"))
	is := &pac.Controllers{}
	by := pac.By{
		Replica: "replica-1", Clock: clocktesting.NewFakePassiveClock(noon), Controllers: func() *pac.Controllers { return is },
	}
	runs, _, informer := newRunsOf(t, by, answer(http.StatusOK, owed), owed)
	checkList(t, runs, is.ReadRun(owed))

	is = &pac.Controllers{Default: pac.Features{NoSecrets: true}}
	checkList(t, runs, is.ReadRun(owed))

	for i := range 100 {
		name := fmt.Sprintf("run-%d", i)
		add(t, informer, pipelineRun(name, func(pr *tektonv1.PipelineRun) { pr.UID = types.UID(name) }))
	}
	list := func() {
		if _, err := runs.List(t.Context(), shopApp, queue.Cached); err != nil {
			t.Fatal(err)
		}
	}
	list()
	if allocations := testing.AllocsPerRun(10, list); allocations > 50 {
		t.Errorf("to list 101 runs that have been read takes %.0f allocations, 50 at most", allocations)
	}
}

func checkList(t *testing.T, runs *pac.Runs, want ...queue.Run) {
	t.Helper()
	got, err := runs.List(t.Context(), shopApp, queue.Cached)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(queue.Shared(want), got, sequencesByNames); diff != "" {
		t.Errorf("cached runs (-want +got):\n%s", diff)
	}
}

func TestList(t *testing.T) {
	mine, other := pipelineRun("mine"), pipelineRun("other", annotated(keys.Repository, "other"))
	nobodys := pipelineRun("nobodys", without(keys.Repository))
	want := []queue.Run{pac.ReadRun(mine)}

	t.Run("cached", func(t *testing.T) {
		elsewhere := pipelineRun("mine", func(pr *tektonv1.PipelineRun) { pr.Namespace = "bank" })
		runs, api, _ := newRuns(t, answer(http.StatusTeapot, nil), mine, other, nobodys, elsewhere)
		checkList(t, runs, want...)
		if got := api.got(); len(got) > 0 {
			t.Errorf("asked the server: %+v", got)
		}
		keys := runs.Keys()
		slices.SortFunc(keys, func(a, b queue.Key) int { return strings.Compare(a.String(), b.String()) })
		if diff := cmp.Diff([]queue.Key{{Namespace: "bank", Repository: "app"}, shopApp, {Namespace: "shop", Repository: "other"}},
			keys); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
	})
	t.Run("fresh, and the server fails", func(t *testing.T) {
		runs, _, _ := newRuns(t, refusal(apierrors.NewInternalError(errors.New("no"))), mine)
		if got, err := runs.List(t.Context(), shopApp, queue.Fresh); err == nil {
			t.Errorf("no error, but %+v", got)
		}
	})
}

// metadataOf is how the server lists the metadata of runs.
func metadataOf(all ...*tektonv1.PipelineRun) metav1.PartialObjectMetadataList {
	list := metav1.PartialObjectMetadataList{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
	}
	for _, pr := range all {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
			ObjectMeta: pr.ObjectMeta,
		})
	}
	return list
}

// TestFreshList: a fresh look lists metadata, and reads only the runs that the cache lacks or has
// as they were before.
func TestFreshList(t *testing.T) {
	at := func(version string) change {
		return func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = version }
	}
	waits, started := pipelineRun("build", at("9")), pipelineRun("build", at("10"), specStatus(""), startedAt(noon))
	over := ended("build", noon)
	other := pipelineRun("build", annotated(keys.Repository, "other"))
	again := pipelineRun("build", at("9"), func(pr *tektonv1.PipelineRun) { pr.UID = "uid-2" })
	listed := request{
		Method: http.MethodGet, Path: "/apis/tekton.dev/v1/namespaces/shop/pipelineruns",
		Query: "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dpipelinesascode.tekton.dev%2C" +
			"pipelinesascode.tekton.dev%2Fstate+notin+%28completed%2Cfailed%29%2Cpipelinesascode.tekton.dev%2Frepository%3Dapp&limit=4",
	}
	read := request{Method: http.MethodGet, Path: "/apis/tekton.dev/v1/namespaces/shop/pipelineruns/build"}
	for name, tc := range map[string]struct {
		cached, listed, is *tektonv1.PipelineRun // is: what a GET of it finds
		want               *tektonv1.PipelineRun
		requests           []request
	}{
		"the cache has it":                {cached: waits, listed: waits, want: waits, requests: []request{listed}},
		"the cache has what became of it": {cached: started, listed: waits, want: started, requests: []request{listed}},
		"the cache has what it was": {
			cached: waits, listed: started, is: started, want: started, requests: []request{listed, read},
		},
		"the cache has another of its name": {
			cached: waits, listed: again, is: again, want: again, requests: []request{listed, read},
		},
		"the cache lacks it":                   {listed: waits, is: waits, want: waits, requests: []request{listed, read}},
		"it is gone after the list":            {listed: waits, requests: []request{listed, read}},
		"it was gone before the list":          {cached: waits, requests: []request{listed, read}},
		"it is done, and has lost its label":   {cached: over, want: over, requests: []request{listed}},
		"it has lost its label":                {cached: started, is: started, want: started, requests: []request{listed, read}},
		"another queue's":                      {listed: other, is: other, requests: []request{listed}},
		"no queue's":                           {listed: pipelineRun("build", without(keys.Repository)), requests: []request{listed}},
		"it came to this queue after the list": {cached: waits, listed: other, is: waits, want: waits, requests: []request{listed, read}},
	} {
		t.Run(name, func(t *testing.T) {
			var cached []*tektonv1.PipelineRun
			if tc.cached != nil {
				cached = append(cached, tc.cached)
			}
			list := metadataOf()
			if tc.listed != nil {
				list = metadataOf(tc.listed)
			}
			runs, api, _ := newRuns(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasSuffix(r.URL.Path, "/pipelineruns"):
					if accepts := r.Header.Get("Accept"); !strings.Contains(accepts, "as=PartialObjectMetadataList") {
						t.Errorf("the list accepts %q, which has the runs whole", accepts)
					}
					answer(http.StatusOK, list)(w, r)
				case tc.is == nil:
					refusal(apierrors.NewNotFound(pipelineRuns, "build"))(w, r)
				default:
					answer(http.StatusOK, tc.is)(w, r)
				}
			}, cached...)
			got, err := runs.List(t.Context(), shopApp, queue.Fresh)
			if err != nil {
				t.Fatal(err)
			}
			var want []*queue.Run
			if tc.want != nil {
				run := pac.ReadRun(tc.want)
				want = append(want, &run)
			}
			if diff := cmp.Diff(want, got, sequencesByNames); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.requests, api.got()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestManyUnlisted: of many runs that the cache has and the list lacks, none is read by itself. A
// second list, which does not go by the queue's label, has those that have only lost it.
func TestManyUnlisted(t *testing.T) {
	var all []*tektonv1.PipelineRun
	for i := range 20 {
		all = append(all, pipelineRun(fmt.Sprintf("build-%02d", i), func(pr *tektonv1.PipelineRun) {
			pr.UID = types.UID(pr.Name)
		}))
	}
	runs, api, _ := newRuns(t, func(w http.ResponseWriter, r *http.Request) {
		list := metadataOf()
		if !strings.Contains(r.URL.Query().Get("labelSelector"), "repository=app") {
			list = metadataOf(all[:18]...)
		}
		answer(http.StatusOK, list)(w, r)
	}, all...)
	got, err := runs.List(t.Context(), shopApp, queue.Fresh)
	if err != nil || len(got) != 18 {
		t.Errorf("%d runs, error %v; want the 18 that there still are", len(got), err)
	}
	if requests := api.got(); len(requests) != 2 {
		t.Errorf("requests %v, want two lists", requests)
	}
}

func TestGet(t *testing.T) {
	finished := pipelineRun("build", annotated(keys.State, "completed"), specStatus(""))
	moved := pipelineRun("build", annotated(keys.Repository, "other"), specStatus(""), startedAt(noon))
	for name, tc := range map[string]struct {
		answer     http.HandlerFunc
		want       queue.Run
		wantExists bool
		wantErr    bool
	}{
		"there, whatever PAC thinks of it": {answer: answer(http.StatusOK, finished), want: pac.ReadRun(finished), wantExists: true},
		// A user wrote it into a Lease of this queue; it is not this queue's to start.
		"of another queue": {answer: answer(http.StatusOK, pipelineRun("build", annotated(keys.Repository, "other")))},
		// Case T7: the annotation was changed after the start.
		"started, and of another queue now": {answer: answer(http.StatusOK, moved), want: pac.ReadRun(moved), wantExists: true},
		"gone":                              {answer: refusal(apierrors.NewNotFound(pipelineRuns, "build"))},
		"the server failed":                 {answer: refusal(apierrors.NewInternalError(errors.New("no"))), wantErr: true},
		// A proxy that has lost its way, or a server that does not serve the CRD just now:
		// no proof that the run is gone, and a slot hangs on it.
		"not even the path is known": {answer: http.NotFound, wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			runs, _, _ := newRuns(t, tc.answer)
			got, exists, err := runs.Get(t.Context(), shopApp, "build")
			if (err != nil) != tc.wantErr || exists != tc.wantExists {
				t.Errorf("exists %t, error %v; want %t, error: %t", exists, err, tc.wantExists, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got, sequencesByNames); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
		})
	}
}

// inTurn gives each answer once and the last one from then on.
func inTurn(answers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	next := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		a := answers[min(next, len(answers)-1)]
		next++
		mu.Unlock()
		a(w, r)
	}
}

// reset breaks the connection without an answer.
func reset(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// Annotations for people go by the client for texts, and nothing else does. What they made of a run
// is known at once all the same.
func TestTextsHaveTheirOwnClient(t *testing.T) {
	cached := pipelineRun("build")
	run := pac.ReadRun(cached)
	told := pipelineRun("build", annotated(pac.Position, "3"), func(pr *tektonv1.PipelineRun) { pr.ResourceVersion = "8" })
	texts, err := tektonclient.NewForConfig(&rest.Config{Host: serve(t, answer(http.StatusOK, told)), QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	by := pac.By{Clock: clocktesting.NewFakePassiveClock(noon), Texts: texts.TektonV1()}
	runs, api, _ := newRunsOf(t, by, refusal(apierrors.NewForbidden(pipelineRuns, run.Name, nil)), cached)
	for name, write := range writes {
		if err := write(t.Context(), runs, run); (err == nil) != (name == "show") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(api.got()); n != len(writes)-1 {
		t.Errorf("%d requests by the client of all other writes, want %d", n, len(writes)-1)
	}
	if shown, _ := runs.Shown(shopApp, run); shown[pac.Position] != "3" {
		t.Errorf("the run shows %v", shown)
	}
}

func serve(t *testing.T, answer http.HandlerFunc) string {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}
