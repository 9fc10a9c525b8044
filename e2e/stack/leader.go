package stack

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/hash"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// electionEntry is in the line by which a replica logs the identity that it takes part in leader
// election with. knative makes that identity up anew for each life, and only the log tells it.
const electionEntry = "will run in leader-elected mode with id"

// Leader waits until a running replica leads a queue and returns that replica. Leader election
// spreads queues over buckets; with one bucket, the chart's default, every key has the same leader
// and the zero Key will do.
func (a *Addon) Leader(ctx context.Context, key queue.Key) (*Replica, error) {
	var leader *Replica
	err := until(ctx, "a leader among the add-on's replicas", electionDeadline, func(ctx context.Context) (err error) {
		leader, err = a.leader(ctx, key)
		return err
	})
	return leader, err
}

// leader looks once.
func (a *Addon) leader(ctx context.Context, key queue.Key) (*Replica, error) {
	leases, err := a.stack.kube.CoordinationV1().Leases(a.Namespace()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	holders := map[string]string{} // by bucket, whose name is its Lease's
	for _, l := range leases.Items {
		if strings.HasPrefix(l.Name, addonName+".") {
			holders[l.Name] = ptr.Deref(l.Spec.HolderIdentity, "")
		}
	}
	if len(holders) == 0 {
		return nil, fmt.Errorf("namespace %s has no Lease of leader election", a.Namespace())
	}
	bucket := hash.NewBucketSet(sets.KeySet(holders)).Owner(key.String())
	if holders[bucket] == "" {
		return nil, fmt.Errorf("the Lease %s has no holder", bucket)
	}
	for _, r := range a.Replicas() {
		// Only the current life counts: a killed life keeps its Lease until it runs out.
		lines, err := r.LogLines(r.LogStart(), electionEntry, holders[bucket])
		if err != nil {
			return nil, err
		}
		if len(lines) > 0 && r.Running() {
			return r, nil
		}
	}
	return nil, fmt.Errorf("the Lease %s is held by %q, which is not a running replica", bucket, holders[bucket])
}
