package lease

import (
	"slices"
	"strconv"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ownerKinds are the kinds of objects that own slots.
var ownerKinds = [...]schema.GroupVersionKind{
	{Group: "pipelinesascode.tekton.dev", Version: "v1alpha1", Kind: "Repository"},
	{Group: "pac-lease-queue.dev", Version: "v1alpha1", Kind: "RunQueue"},
}

// ownsSlots says that objects of the kind of that owner own slots.
func ownsSlots(owner metav1.OwnerReference) bool {
	return slices.ContainsFunc(ownerKinds[:], func(is schema.GroupVersionKind) bool {
		group, _, _ := strings.Cut(owner.APIVersion, "/")
		return owner.Kind == is.Kind && group == is.Group
	})
}

// OwnedBy reports whether a Lease is owned by a Repository or a RunQueue of that name.
func OwnedBy(l *coordinationv1.Lease, name string) bool {
	return slices.ContainsFunc(l.OwnerReferences, func(owner metav1.OwnerReference) bool {
		return ownsSlots(owner) && owner.Name == name
	})
}

// Relabel returns a copy of a Lease that is in the place of a slot and owned as slots are, with
// the labels and the annotation of a slot restored, and otherwise unchanged.
func Relabel(l *coordinationv1.Lease) *coordinationv1.Lease {
	l = l.DeepCopy()
	for _, owner := range l.OwnerReferences {
		if index, ok := IndexOf(l.Name, owner.Name); ok && ownsSlots(owner) {
			label(l, owner.Name, index)
		}
	}
	return l
}

// label sets what identifies a slot: labels for people and selectors, and an annotation with the
// exact name.
func label(l *coordinationv1.Lease, repository string, index int) {
	if l.Labels == nil {
		l.Labels = map[string]string{}
	}
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	l.Labels[labelManagedBy] = manager
	l.Labels[keyRepository] = labelValue(repository)
	l.Labels[keySlot] = strconv.Itoa(index)
	l.Annotations[keyRepository] = repository
}
