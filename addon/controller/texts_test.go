package controller

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// connections are those to a server, by who asked for what on them.
type connections struct {
	mu    sync.Mutex
	asked map[string]map[string]bool // remote addresses, by method
}

func (c *connections) of(methods ...string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]bool{}
	for _, method := range methods {
		for remote := range c.asked[method] {
			all[remote] = true
		}
	}
	return all
}

// Texts have one connection of their own: no start waits behind them.
func TestTextsHaveTheirOwnConnection(t *testing.T) {
	seen := &connections{asked: map[string]map[string]bool{}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if seen.asked[r.Method] == nil {
			seen.asked[r.Method] = map[string]bool{}
		}
		seen.asked[r.Method][r.RemoteAddr] = true
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	config := &rest.Config{Host: server.URL, QPS: -1}
	config.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	tekton, err := tektonclient.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := newTextClients(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, event := t.Context(), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: tools, Name: "e"}}
	for range 3 {
		_, _ = kube.CoreV1().ConfigMaps(tools).Get(ctx, configName, metav1.GetOptions{})
		_ = tekton.TektonV1().PipelineRuns(tools).Delete(ctx, "run", metav1.DeleteOptions{})
		_, _ = texts.events.CreateWithEventNamespaceWithContext(ctx, event)
		_, _ = texts.runs.PipelineRuns(tools).Patch(ctx, "run", "application/merge-patch+json", []byte("{}"), metav1.PatchOptions{})
	}
	others, own := seen.of(http.MethodGet, http.MethodDelete), seen.of(http.MethodPost, http.MethodPatch)
	if len(others) != 1 || len(own) != 1 || len(seen.of(http.MethodGet, http.MethodPost)) != 2 {
		t.Errorf("texts on connections %v, all else on %v", own, others)
	}
	if config.Timeout != 0 || config.Dial != nil {
		t.Error("the configuration of all other clients was changed")
	}
}
