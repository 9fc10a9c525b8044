package controller

import (
	"context"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/leaderelection"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/system"
	_ "knative.dev/pkg/system/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// TestLeaders: the leader of a part is who its Lease says, by the name that its writes carry.
func TestLeaders(t *testing.T) {
	const namespace = "addon"
	part := ElectionLease(0, 2)
	kube := fake.NewClientset(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: part},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To(ElectionIdentity("pod-1"))},
	})
	l := watchLeaders(t.Context(), kube, namespace, 2)
	// is waits until the watch shows it.
	is := func(part, want string, wantKnown bool) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			name, known := l.of(part)
			if name == want && known == wantKnown {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the leader of %s is %q, known %t; want %q, %t", part, name, known, want, wantKnown)
			}
			time.Sleep(time.Millisecond)
		}
	}
	is(part, "pod-1", true)
	is(ElectionLease(1, 2), "", true)
	is("elsewhere", "", false)
	free := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: part}}
	if _, err := kube.CoordinationV1().Leases(namespace).Update(t.Context(), free, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	is(part, "", true)
}

// promotions takes the buckets that an elector promotes it to.
type promotions struct{ of chan reconciler.Bucket }

func (p promotions) Promote(b reconciler.Bucket, _ func(reconciler.Bucket, types.NamespacedName)) error {
	p.of <- b
	return nil
}
func (p promotions) Demote(reconciler.Bucket) {}

// TestParts: a queue is in the part in which knative's election has it.
func TestParts(t *testing.T) {
	const parts = 4
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	kube, led := fake.NewClientset(), promotions{make(chan reconciler.Bucket, parts)}
	elector, err := leaderelection.BuildElector(leaderelection.WithDynamicLeaderElectorBuilder(ctx, kube, leaderelection.ComponentConfig{
		Buckets: parts, LeaseDuration: time.Minute, RenewDeadline: 40 * time.Second, RetryPeriod: time.Second,
		LeaseName: func(part uint32) string { return ElectionLease(part, parts) },
	}), led, "queues", func(reconciler.Bucket, types.NamespacedName) {})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); elector.Run(ctx) }()
	l := watchLeaders(ctx, kube, system.Namespace(), parts)
	used := map[string]bool{}
	for range parts {
		bucket := <-led.of
		for i := range 100 {
			key := queue.Key{Namespace: "shop", Repository: fmt.Sprintf("app-%d", i)}
			if is := l.part(key); (is == bucket.Name()) != bucket.Has(name(key)) {
				t.Errorf("%s is in part %s; part %s has it: %t", key, is, bucket.Name(), bucket.Has(name(key)))
			} else {
				used[is] = true
			}
		}
	}
	if len(used) != parts {
		t.Errorf("the queues are in parts %v, want all %d", used, parts)
	}
	cancel()
	<-stopped
}
