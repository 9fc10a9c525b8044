package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/upstream"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// tenant is a service account with the role edit in one namespace, and no right anywhere else.
type tenant struct {
	namespace string
	client    dynamic.Interface
	first     bool // of all tenants
	upstream  *upstream.Upstream
}

const tenantAccount = "tenant"

// newTenant creates the namespace and the account.
func newTenant(ctx context.Context, s *stack.Stack, namespace string) (*tenant, error) {
	if err := s.NewNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: tenantAccount}}
	if _, err := s.Kubernetes().CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: tenantAccount},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: tenantAccount}},
	}
	if _, err := s.Kubernetes().RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	config, err := s.ServiceAccountConfig(ctx, namespace, tenantAccount)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	return &tenant{namespace: namespace, client: client}, err
}

// What a tenant writes.
var (
	pipelineRuns = schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}
	repositories = schema.GroupVersionResource{Group: "pipelinesascode.tekton.dev", Version: "v1alpha1", Resource: "repositories"}
	leases       = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	events       = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	configMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
)

// tally counts what became of a tenant's requests.
type tally struct {
	tried, admitted, refused atomic.Int64
	// missed requests met an object that had moved on or was gone.
	missed atomic.Int64
	bytes  atomic.Int64

	mu   sync.Mutex
	says map[string]int // how often each refusal was heard
}

// mostBytes is what the tenants write in one phase: etcd keeps every version for a while, and takes
// 2 GiB.
const mostBytes = 250 << 20

// worker makes one attack for a tenant.
type worker struct {
	*tenant
	board  string // its address
	phase  int
	ctx    context.Context // of the attack
	hands  chan struct{}   // of all tenants: each takes one request at a time
	scale  float64         // of what it makes before the assault
	random *rand.Rand
	prefix string // of the names that it gives
	tally  *tally
	// promise notes that the tenant leaves the limit of one of its Repositories alone. It cannot
	// start runs itself while there is a guard, so this limit has to hold.
	promise func(repository string, limit int)

	names  int
	target string                     // the Repository that it works on
	model  *unstructured.Unstructured // the Lease that it copies
	// hoarded are the Repositories for which it has Leases before they exist.
	hoarded []string
	made    map[schema.GroupVersionResource][]string
}

// stock is how many objects it makes before the assault if so many are usual.
func (w *worker) stock(usual int) int { return max(1, int(float64(usual)*w.scale)) }

// stockUp tries to make as many objects as it needs before the assault. They may all be refused.
func (w *worker) stockUp(usual int, create func()) {
	for range w.stock(usual) {
		create()
	}
}

// going reports whether the attack goes on.
func (w *worker) going() bool { return w.ctx.Err() == nil }

// name returns a new name.
func (w *worker) name(what string) string {
	w.names++
	return fmt.Sprintf("%s-%s-%d", what, w.prefix, w.names)
}

// rest waits, for want of something to do.
func (w *worker) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.ctx.Done():
	}
}

// hand makes a request as soon as the tenants have a hand free.
func (w *worker) hand(request func() error) error {
	select {
	case w.hands <- struct{}{}:
		defer func() { <-w.hands }()
		return request()
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// try makes a request, counts it, and reports whether it was let through.
func (w *worker) try(request func() error) bool {
	err := w.hand(request)
	if !w.going() { // whatever became of it
		return err == nil
	}
	w.tally.tried.Add(1)
	switch {
	case err == nil:
		w.tally.admitted.Add(1)
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsRequestEntityTooLargeError(err):
		w.tally.refused.Add(1)
		w.tally.mu.Lock()
		w.tally.says[err.Error()]++
		w.tally.mu.Unlock()
	default:
		w.tally.missed.Add(1)
	}
	return err == nil
}

// fields are those of an object.
type fields = map[string]any

func (w *worker) create(resource schema.GroupVersionResource, object fields) bool {
	return w.createIn(w.namespace, resource, object)
}

func (w *worker) createIn(namespace string, resource schema.GroupVersionResource, object fields) bool {
	o := &unstructured.Unstructured{Object: object}
	if !w.try(func() error {
		_, err := w.client.Resource(resource).Namespace(namespace).Create(w.ctx, o, metav1.CreateOptions{})
		return err
	}) {
		return false
	}
	if namespace == w.namespace {
		w.made[resource] = append(w.made[resource], o.GetName())
	}
	return true
}

// createLarge creates an object of so many bytes. Once the tenants have written enough in this
// phase, it only waits.
func (w *worker) createLarge(resource schema.GroupVersionResource, size int64, object fields) bool {
	if w.tally.bytes.Add(size) > mostBytes {
		w.rest(100 * time.Millisecond)
		return false
	}
	return w.create(resource, object)
}

func (w *worker) patch(resource schema.GroupVersionResource, name string, patch fields) bool {
	return w.patchIn(w.namespace, resource, name, patch)
}

func (w *worker) patchIn(
	namespace string, resource schema.GroupVersionResource, name string, patch fields, subresources ...string,
) bool {
	body, err := json.Marshal(patch)
	if err != nil {
		panic(err) // it is made of maps and texts
	}
	return w.try(func() error {
		_, err := w.client.Resource(resource).Namespace(namespace).
			Patch(w.ctx, name, types.MergePatchType, body, metav1.PatchOptions{}, subresources...)
		return err
	})
}

func (w *worker) delete(resource schema.GroupVersionResource, name string) bool {
	if name == "" {
		return false
	}
	return w.try(func() error {
		return w.client.Resource(resource).Namespace(w.namespace).Delete(w.ctx, name, metav1.DeleteOptions{})
	})
}

// get reads an object; nil if it does not exist.
func (w *worker) get(resource schema.GroupVersionResource, name string) (found *unstructured.Unstructured) {
	if name == "" {
		return nil
	}
	err := w.hand(func() (err error) {
		found, err = w.client.Resource(resource).Namespace(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil
	}
	return found
}

// atMost deletes the oldest objects that this worker made, until there are no more than so many.
func (w *worker) atMost(resource schema.GroupVersionResource, most int) {
	for len(w.made[resource]) > most && w.going() {
		oldest := w.made[resource][0]
		w.made[resource] = w.made[resource][1:]
		w.delete(resource, oldest)
	}
}

// any returns one of the objects of a kind that this worker made, or an empty name.
func (w *worker) any(resource schema.GroupVersionResource) string {
	made := w.made[resource]
	if len(made) == 0 {
		return ""
	}
	return made[w.random.IntN(len(made))]
}
