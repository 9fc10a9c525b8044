package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
)

const (
	// mostBuckets is how many parts knative lets the queues be divided into.
	mostBuckets = 10
	// stillLeads is how long after its last renewal a leader counts as one: long enough for clocks
	// that differ, and for the longest usual lease.
	stillLeads = 2 * time.Minute
	// othersTimeout bounds the search, which a replica does not start its work without.
	othersTimeout = 10 * time.Second
)

// warnOfOthers warns of other installations, by the Leases of their leaders. Only a replica that
// works on all namespaces may see those, and every other installation then works on some of the
// same.
func warnOfOthers(ctx context.Context, kube kubernetes.Interface, env config.Environment, recorder event.Sink, now time.Time) {
	if !env.Watched.All() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, othersTimeout)
	defer cancel()
	others, err := otherInstallations(ctx, kube, env.Namespace, now)
	if err != nil {
		logging.FromContext(ctx).Warnw("Cannot look for other installations", "error", err)
		return
	}
	if len(others) == 0 {
		return
	}
	message := fmt.Sprintf("pac-lease-queue is also at work in namespace %s. This installation works on the queues of all namespaces: "+
		"each guard refuses the starts of the other, and held runs stand still. Uninstall one of the two, or give them different "+
		"watchNamespaces.", strings.Join(others, ", "))
	logging.FromContext(ctx).Warnw(message)
	cm, err := kube.CoreV1().ConfigMaps(env.Namespace).Get(ctx, env.ConfigMap, metav1.GetOptions{})
	if err == nil {
		recorder.Record(warningOn(cm, event.ReasonSecondInstallation, message))
	}
}

// otherInstallations are the namespaces, besides its own, in which replicas have a leader. The API
// server answers from its memory, and with these Leases only.
func otherInstallations(ctx context.Context, kube kubernetes.Interface, own string, now time.Time) ([]string, error) {
	var others []string
	for of := uint32(1); of <= mostBuckets; of++ {
		list, err := kube.CoordinationV1().Leases(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
			FieldSelector:   "metadata.name=" + ElectionLease(0, of),
			ResourceVersion: "0",
		})
		if err != nil {
			return nil, err
		}
		for _, l := range list.Items {
			held := l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != "" && l.Spec.RenewTime != nil &&
				now.Sub(l.Spec.RenewTime.Time) < stillLeads
			if l.Namespace != own && held && !slices.Contains(others, l.Namespace) {
				others = append(others, l.Namespace)
			}
		}
	}
	slices.Sort(others)
	return others, nil
}
