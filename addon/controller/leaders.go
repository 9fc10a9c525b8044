package controller

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	coordinationinformers "k8s.io/client-go/informers/coordination/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/hash"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// leaders knows from the Leases of leader election which replica leads which part of the queues.
type leaders struct {
	namespace string
	// parts divides the queues as knative's election does, by the names of its Leases.
	parts  *hash.BucketSet
	leases map[string]coordinationinformers.LeaseInformer // by part
}

// watchLeaders watches the Leases of leader election until the context ends. It does not wait for
// them: a leader that is not known yet is one like any other replica.
func watchLeaders(ctx context.Context, kube kubernetes.Interface, namespace string, parts uint32) *leaders {
	l := &leaders{namespace: namespace, leases: map[string]coordinationinformers.LeaseInformer{}}
	names := sets.New[string]()
	for part := range parts {
		name := ElectionLease(part, parts)
		names.Insert(name)
		factory := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(namespace),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + name }))
		l.leases[name] = factory.Coordination().V1().Leases()
		l.leases[name].Informer() // the factory starts what it was asked for
		factory.Start(ctx.Done())
	}
	l.parts = hash.NewBucketSet(names)
	return l
}

// part names the one that a queue is in.
func (l *leaders) part(key queue.Key) string { return l.parts.Owner(name(key).String()) }

// of returns the name of the replica that leads a part, as [ElectionIdentity] has it.
func (l *leaders) of(part string) (replica string, known bool) {
	leases, watched := l.leases[part]
	if !watched || !leases.Informer().HasSynced() {
		return "", false
	}
	lease, err := leases.Lister().Leases(l.namespace).Get(part)
	if err != nil {
		return "", true // there is none, so nobody leads
	}
	replica, _, _ = strings.Cut(ptr.Deref(lease.Spec.HolderIdentity, ""), identitySeparator)
	return replica, true
}
