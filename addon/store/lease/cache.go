package lease

import (
	"unique"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// bounds are the annotations that are kept of a Lease, and how many bytes of each mean anything. A
// tenant may write 256 KiB of them.
var bounds = map[string]int{
	keyRepository: validation.DNS1123SubdomainMaxLength,
	keyRunUID:     128,
	keyAttempt:    32,
	keyReplica:    validation.DNS1123SubdomainMaxLength,
	keyTurns:      queue.LongestTurns,
	keyEvent:      validation.DNS1123SubdomainMaxLength + len(" 2006-01-02T15:04:05Z <=18446744073709551615"),
}

// repeated are those of which many slots have the same value.
var repeated = map[string]bool{keyRepository: true, keyAttempt: true, keyReplica: true}

// Trim reduces a Lease to what [Decode] reads: it reads alike before and after.
func Trim(obj any) (any, error) {
	l, ok := obj.(*coordinationv1.Lease)
	if !ok {
		return obj, nil // a tombstone: its object has been trimmed already
	}
	return trim(l), nil
}

// ours are the labels of every trimmed slot: nobody changes an object of a cache.
var ours = map[string]string{labelManagedBy: manager}

func trim(l *coordinationv1.Lease) *coordinationv1.Lease {
	trimmed := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: l.Name, Namespace: l.Namespace, UID: l.UID, ResourceVersion: l.ResourceVersion,
			Annotations: make(map[string]string, len(bounds)),
		},
		Spec: coordinationv1.LeaseSpec{LeaseTransitions: l.Spec.LeaseTransitions},
	}
	if l.Labels[labelManagedBy] == manager {
		trimmed.Labels = ours
	}
	for key, most := range bounds {
		if value, present := l.Annotations[key]; present {
			trimmed.Annotations[key] = queue.Bounded(value, most)
			if repeated[key] {
				trimmed.Annotations[key] = unique.Make(trimmed.Annotations[key]).Value()
			}
		}
	}
	if l.Spec.HolderIdentity != nil {
		trimmed.Spec.HolderIdentity = ptr.To(queue.Bounded(*l.Spec.HolderIdentity, validation.DNS1123SubdomainMaxLength))
	}
	return trimmed
}
