package handback_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac/handback"
)

// cluster is an API server with many queued runs, which it makes up as they are listed.
type cluster struct {
	*httptest.Server
	script string        // of each run, most of its size
	pause  time.Duration // that a patch takes

	mu        sync.Mutex
	held      []bool // by run
	leases    []bool // that exist
	pages     int
	patches   int
	failAfter int // patches; 0 is never
	// stages are what happened, each kind once in a row.
	stages []string
	// heap is the most that was in use when a page was listed.
	heap uint64
}

func newCluster(t *testing.T, runs, leases int, size int) *cluster {
	c := &cluster{script: strings.Repeat("x", size), held: make([]bool, runs), leases: make([]bool, leases)}
	for i := range c.held {
		c.held[i] = true
	}
	for i := range c.leases {
		c.leases[i] = true
	}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// left counts the runs that are held.
func (c *cluster) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, held := range c.held {
		if held {
			n++
		}
	}
	return n
}

func (c *cluster) stage(name string) {
	if len(c.stages) == 0 || c.stages[len(c.stages)-1] != name {
		c.stages = append(c.stages, name)
	}
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	name := parts[len(parts)-1]
	switch kind := strings.ToLower(r.Method) + " " + name; {
	case kind == "get pipelineruns":
		c.listRuns(w, r)
	case kind == "get leases":
		c.listLeases(w, r)
	case r.Method == http.MethodPatch && slices.Contains(parts, "pipelineruns"):
		c.patchRun(w, r, name)
	case r.Method == http.MethodPatch:
		c.stage("tell replicas")
		fmt.Fprint(w, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"config"}}`)
	case r.Method == http.MethodDelete && slices.Contains(parts, "leases"):
		c.stage("remove slots")
		i, _ := strconv.Atoi(strings.TrimPrefix(name, "shop.slot-"))
		c.leases[i] = false
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	case r.Method == http.MethodDelete:
		c.stage("remove " + name)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	default:
		http.Error(w, r.Method+" "+r.URL.Path, http.StatusTeapot)
	}
}

// page returns which of so many objects a list answers with, and the next token.
func page(r *http.Request, total int) (from, to int, next string) {
	from, _ = strconv.Atoi(r.URL.Query().Get("continue"))
	to = total
	if limit, _ := strconv.Atoi(r.URL.Query().Get("limit")); limit > 0 {
		to = min(total, from+limit)
	}
	if to < total {
		next = strconv.Itoa(to)
	}
	return from, to, next
}

func (c *cluster) listRuns(w http.ResponseWriter, r *http.Request) {
	if c.pages++; c.pages%50 == 0 {
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		c.heap = max(c.heap, memory.HeapAlloc)
	}
	from, to, next := page(r, len(c.held))
	fmt.Fprintf(w, `{"kind":"PipelineRunList","apiVersion":"tekton.dev/v1",`+
		`"metadata":{"resourceVersion":"1","continue":%q},"items":[`, next)
	for i := from; i < to; i++ {
		if i > from {
			fmt.Fprint(w, ",")
		}
		fmt.Fprint(w, c.run(i))
	}
	fmt.Fprint(w, "]}")
}

func (c *cluster) run(i int) string {
	annotations := map[string]string{"pipelinesascode.tekton.dev/repository": "shop"}
	order := fmt.Sprintf("ci/run-%d", i)
	if c.held[i] {
		annotations[pac.HeldOrder] = order
	} else {
		annotations[pac.ExecutionOrder] = order
	}
	text, _ := json.Marshal(annotations)
	return fmt.Sprintf(`{"metadata":{"namespace":"ci","name":"run-%d","uid":"uid-%d","resourceVersion":"1","annotations":%s},`+
		`"spec":{"status":"PipelineRunPending","pipelineSpec":{"description":"%s"}}}`, i, i, text, c.script)
}

func (c *cluster) patchRun(w http.ResponseWriter, r *http.Request, name string) {
	if c.patches++; c.failAfter > 0 && c.patches > c.failAfter {
		http.Error(w, "overloaded", http.StatusInternalServerError)
		return
	}
	var patch struct {
		Metadata struct {
			Annotations map[string]*string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i, _ := strconv.Atoi(strings.TrimPrefix(name, "run-"))
	if patch.Metadata.Annotations[pac.ExecutionOrder] == nil {
		http.Error(w, "no order", http.StatusBadRequest)
		return
	}
	c.stage("hand back")
	c.held[i] = false
	if c.pause > 0 {
		c.mu.Unlock()
		time.Sleep(c.pause)
		c.mu.Lock()
	}
	fmt.Fprint(w, strings.Replace(c.run(i), `{"metadata"`, `{"kind":"PipelineRun","apiVersion":"tekton.dev/v1","metadata"`, 1))
}

func (c *cluster) listLeases(w http.ResponseWriter, r *http.Request) {
	from, to, next := page(r, len(c.leases))
	var items []string
	for i := from; i < to; i++ {
		if !c.leases[i] {
			continue
		}
		items = append(items, fmt.Sprintf(`{"metadata":{"namespace":"ci","name":"shop.slot-%d","uid":"uid-%d",`+
			`"annotations":{"pac-lease-queue.dev/repository":"shop"},"labels":{"app.kubernetes.io/managed-by":"pac-lease-queue"}}}`, i, i))
	}
	fmt.Fprintf(w, `{"kind":"LeaseList","apiVersion":"coordination.k8s.io/v1","metadata":{"continue":%q},"items":[%s]}`, next,
		strings.Join(items, ","))
}

// handBack runs a hand-back that waits for started runs no longer than a moment.
func (c *cluster) handBack(ctx context.Context, t *testing.T) (string, error) {
	config := &rest.Config{Host: c.URL, QPS: -1}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	tekton, err := tektonclient.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	h := &handback.HandBack{
		Kube: kube, Tekton: tekton, Namespace: "tools", ConfigMap: "config", Namespaces: []string{""},
		Hold: "hold", Guard: "guard", Patience: time.Millisecond, Out: &out,
	}
	err = h.Run(ctx)
	return out.String(), err
}

// order is that of a hand-back. The guard stays, but for the part that goes with the hold.
var order = []string{"tell replicas", "remove hold", "remove guard-held", "hand back", "remove slots"}

// T11: thousands of runs of 50 KB are handed back in bounded memory, however long that takes, and
// the guard outlasts that. 3000 of them need no more than 1000, but three times as long.
func TestHandBackOfManyLargeRuns(t *testing.T) {
	const runs, size = 1000, 50_000
	c := newCluster(t, runs, 100, size)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	out, err := c.handBack(t.Context(), t)
	if err != nil || c.left() > 0 || slices.Contains(c.leases, true) {
		t.Fatalf("%d runs and the slots %v are left: %v\n%s", c.left(), c.leases, err, out)
	}
	if !slices.Equal(c.stages, order) {
		t.Errorf("the stages are %q, want %q", c.stages, order)
	}
	const most = 16 << 20
	if used := c.heap - before.HeapAlloc; used > most {
		t.Errorf("%d MiB of memory were in use, want %d at most of the %d that the runs have", used>>20, most>>20, runs*size>>20)
	}
}

// T11: a hand-back that was killed, or that met an API server in trouble, is finished by the next.
func TestHandBackIsResumed(t *testing.T) {
	t.Parallel()
	const runs = 100
	c := newCluster(t, runs, 1, 10)
	c.pause = 5 * time.Millisecond
	ctx, kill := context.WithCancel(t.Context())
	go func() {
		for c.left() > runs/2 {
			time.Sleep(time.Millisecond)
		}
		kill()
	}()
	if _, err := c.handBack(ctx, t); !errors.Is(err, context.Canceled) {
		t.Fatalf("the killed hand-back ends with %v", err)
	}
	killedAt := c.left()
	if killedAt == 0 || slices.Contains(c.stages, "remove slots") {
		t.Fatalf("%d runs were left when it was killed, after %q", killedAt, c.stages)
	}
	c.stages = nil
	out, err := c.handBack(t.Context(), t)
	if err != nil || c.left() > 0 || slices.Contains(c.leases, true) {
		t.Fatalf("%d runs and the slots %v are left: %v\n%s", c.left(), c.leases, err, out)
	}
	if !slices.Equal(c.stages, order) {
		t.Errorf("the stages are %q, want %q", c.stages, order)
	}
}

// T11: as long as a run cannot be handed back, the slots stay, and the error names the run.
func TestSlotsStayUntilAllIsHandedBack(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 10, 1, 10)
	c.failAfter = 5
	if _, err := c.handBack(t.Context(), t); err == nil || !strings.Contains(err.Error(), "hand ci/run-") {
		t.Errorf("the error is %v", err)
	}
	if c.left() != 5 || slices.Contains(c.stages, "remove slots") {
		t.Errorf("%d runs are left, after %q", c.left(), c.stages)
	}
}
