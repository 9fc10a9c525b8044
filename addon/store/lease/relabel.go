package lease

import (
	"strconv"

	coordinationv1 "k8s.io/api/coordination/v1"
)

const ownerKind = "Repository"

// OwnedBy reports whether a Lease is owned by a Repository of that name.
func OwnedBy(l *coordinationv1.Lease, repository string) bool {
	for _, owner := range l.OwnerReferences {
		if owner.Kind == ownerKind && owner.Name == repository {
			return true
		}
	}
	return false
}

// Relabel returns a copy of a Lease that is in the place of a slot and owned by a Repository, with
// the labels and the annotation of a slot restored, and otherwise unchanged.
func Relabel(l *coordinationv1.Lease) *coordinationv1.Lease {
	l = l.DeepCopy()
	for _, owner := range l.OwnerReferences {
		if index, ok := IndexOf(l.Name, owner.Name); ok && owner.Kind == ownerKind {
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
