package wire_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
)

// A client behind the relay keeps its identity, sees a lost reply as a timeout although the request
// was carried out, and is cut off in the middle of a watch when the relay closes.
func TestRelay(t *testing.T) {
	var patched atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer theirs" {
			t.Errorf("%s %s came with %q, want the client's own token", r.Method, r.URL, got)
		}
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("watch") != "":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case r.Method == http.MethodPatch:
			patched.Add(1)
			fallthrough
		default:
			_, _ = w.Write([]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"found"}}`))
		}
	}))
	defer api.Close()

	r, err := wire.NewRelay(&rest.Config{Host: api.URL, BearerToken: "ours"},
		wire.When(func(r wire.Request) bool { return r.Verb == "patch" && r.Resource == "configmaps" }, wire.LoseReply))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	direct, through := filepath.Join(t.TempDir(), "direct"), filepath.Join(t.TempDir(), "through")
	kubeconfig := clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: api.URL}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: "theirs"}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u", Namespace: "shop"}},
		CurrentContext: "x",
	}
	if err := clientcmd.WriteToFile(kubeconfig, direct); err != nil {
		t.Fatal(err)
	}
	if err := r.Kubeconfig(direct, through); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", through)
	if err != nil {
		t.Fatal(err)
	}
	maps := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps("shop")

	if got, err := maps.Get(t.Context(), "found", metav1.GetOptions{}); err != nil || got.Name != "found" {
		t.Errorf("read %v, %v", got, err)
	}
	_, err = maps.Patch(t.Context(), "found", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
	if !apierrors.IsTimeout(err) || !strings.Contains(err.Error(), wire.ErrReplyLost.Error()) {
		t.Errorf("the patch whose reply is lost: %v, want a timeout that says so", err)
	}
	if n := patched.Load(); n != 1 {
		t.Errorf("the patch arrived %d times, want once", n)
	}
	w, err := maps.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	<-w.ResultChan() // closed, or the test hangs
}
