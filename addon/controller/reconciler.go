package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/replica"
)

// queues puts a replica behind knative's work queue and election.
type queues struct {
	reconciler.LeaderAwareFuncs
	replica *replica.Replica
	leads   buckets
}

// Reconcile implements controller.Reconciler.
func (q *queues) Reconcile(ctx context.Context, id string) error {
	namespace, repository, err := cache.SplitMetaNamespaceKey(id)
	if err != nil {
		return controller.NewPermanentError(fmt.Errorf("queue key %q: %w", id, err))
	}
	outcome, err := q.replica.Work(ctx, queue.Key{Namespace: namespace, Repository: repository})
	if err != nil {
		logging.FromContext(ctx).Errorw("A pass over a queue failed", "queue", id, "again", outcome.Again, "error", err)
	}
	switch {
	case !outcome.Acted:
		return controller.NewSkipKey(id)
	case outcome.Again > 0:
		return controller.NewRequeueAfter(outcome.Again)
	default:
		return nil
	}
}

// promoted implements the hook of reconciler.LeaderAwareFuncs. Its own set of buckets has the
// bucket already.
func (q *queues) promoted(b reconciler.Bucket, _ func(reconciler.Bucket, types.NamespacedName)) error {
	q.leads.set(b, true)
	q.replica.Promoted(func(key queue.Key) bool { return b.Has(name(key)) })
	return nil
}

func (q *queues) demoted(b reconciler.Bucket) {
	q.leads.set(b, false)
	q.replica.Demoted()
}

func name(key queue.Key) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: key.Repository}
}
