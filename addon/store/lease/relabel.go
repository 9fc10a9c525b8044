package lease

import (
	"strconv"

	coordinationv1 "k8s.io/api/coordination/v1"
)

const ownerKind = "Repository"

// OwnedBy says whether a Lease is owned by a Repository of that name.
func OwnedBy(l *coordinationv1.Lease, repository string) bool {
	for _, owner := range l.OwnerReferences {
		if owner.Kind == ownerKind && owner.Name == repository {
			return true
		}
	}
	return false
}

// Relabel is a Lease in the place of a slot, owned by a Repository, with the labels and
// the annotation by which it is known as one, and otherwise as it is.
func Relabel(l *coordinationv1.Lease) *coordinationv1.Lease {
	l = l.DeepCopy()
	for _, owner := range l.OwnerReferences {
		if index, ok := IndexOf(l.Name, owner.Name); ok && owner.Kind == ownerKind {
			label(l, owner.Name, index)
		}
	}
	return l
}

// label writes what a slot is known by, for people and exactly.
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
