package simulation

import (
	"context"
	"errors"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/ptr"
)

// leaseClient is a replica's client of Leases.
type leaseClient struct {
	coordinationclient.LeaseInterface // what is not used panics
	replica                           *replica
	namespace                         string
}

type leaseGetter struct{ *replica }

func (g leaseGetter) Leases(namespace string) coordinationclient.LeaseInterface {
	return leaseClient{replica: g.replica, namespace: namespace}
}

func (c leaseClient) Get(_ context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	return call(c.replica, "get", leases, c.namespace, name, func(s *server, _ *request) (*coordinationv1.Lease, error) {
		l, ok := s.lease(c.namespace, name)
		if !ok {
			return nil, apierrors.NewNotFound(resources[leases], name)
		}
		return l.DeepCopy(), nil
	})
}

func (c leaseClient) List(_ context.Context, o metav1.ListOptions) (*coordinationv1.LeaseList, error) {
	selector, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, err
	}
	return call(c.replica, "list", leases, c.namespace, "", func(s *server, q *request) (*coordinationv1.LeaseList, error) {
		q.pass.listedAfresh = true
		list := &coordinationv1.LeaseList{}
		for _, o := range s.list(leases, c.namespace, selector) {
			list.Items = append(list.Items, *o.(*coordinationv1.Lease).DeepCopy())
		}
		return list, nil
	})
}

func (c leaseClient) Create(_ context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	l = l.DeepCopy()
	return call(c.replica, "create", leases, c.namespace, l.Name, func(s *server, q *request) (*coordinationv1.Lease, error) {
		return s.createLease(l, q)
	})
}

func (c leaseClient) Update(_ context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	l = l.DeepCopy()
	return call(c.replica, "update", leases, c.namespace, l.Name, func(s *server, q *request) (*coordinationv1.Lease, error) {
		c.replica.cluster.mutant.arrives(s, l)
		return s.updateLease(l, q)
	})
}

func (c leaseClient) Delete(_ context.Context, name string, o metav1.DeleteOptions) error {
	conditions := ptr.Deref(o.Preconditions, metav1.Preconditions{})
	_, err := call(c.replica, "delete", leases, c.namespace, name, func(s *server, q *request) (any, error) {
		return nil, s.deleteLease(c.namespace, name, conditions, q)
	})
	return err
}

func (s *server) lease(namespace, name string) (*coordinationv1.Lease, bool) {
	l, ok := s.objects[leases][namespace+"/"+name].(*coordinationv1.Lease)
	return l, ok
}

func (s *server) createLease(l *coordinationv1.Lease, by *request) (*coordinationv1.Lease, error) {
	if l.ResourceVersion != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	if _, exists := s.lease(l.Namespace, l.Name); exists {
		return nil, apierrors.NewAlreadyExists(resources[leases], l.Name)
	}
	return s.insertLease(l, by)
}

func (s *server) insertLease(l *coordinationv1.Lease, by *request) (*coordinationv1.Lease, error) {
	if err := validLease(l); err != nil {
		return nil, err
	}
	return s.create(leases, l.DeepCopy(), by).(*coordinationv1.Lease).DeepCopy(), nil
}

// updateLease is a PUT (pkg/registry/generic/registry/store.go, Update): the UID
// in the object is a precondition, which an absent object does not meet either;
// without one, a PUT of an absent Lease creates it, whatever its version.
func (s *server) updateLease(l *coordinationv1.Lease, by *request) (*coordinationv1.Lease, error) {
	was, exists := s.lease(l.Namespace, l.Name)
	if l.UID != "" && (!exists || was.UID != l.UID) {
		return nil, apierrors.NewConflict(resources[leases], l.Name, errors.New("precondition failed: UID"))
	}
	if !exists {
		return s.insertLease(l, by)
	}
	if l.ResourceVersion == "" {
		return nil, apierrors.NewInvalid(coordinationv1.SchemeGroupVersion.WithKind("Lease").GroupKind(), l.Name, nil)
	}
	if l.ResourceVersion != was.ResourceVersion {
		return nil, apierrors.NewConflict(resources[leases], l.Name, errors.New("the object has been modified"))
	}
	is := l.DeepCopy()
	is.UID, is.CreationTimestamp = was.UID, was.CreationTimestamp
	if err := validLease(is); err != nil {
		return nil, err
	}
	if equality.Semantic.DeepEqual(was, is) {
		return is, nil // what changes nothing is not written
	}
	return s.replace(leases, was, is, by).(*coordinationv1.Lease).DeepCopy(), nil
}

func (s *server) deleteLease(namespace, name string, p metav1.Preconditions, by *request) error {
	was, exists := s.lease(namespace, name)
	switch {
	case !exists:
		return apierrors.NewNotFound(resources[leases], name)
	case p.UID != nil && *p.UID != was.UID, p.ResourceVersion != nil && *p.ResourceVersion != was.ResourceVersion:
		return apierrors.NewConflict(resources[leases], name, errors.New("precondition failed"))
	}
	s.remove(leases, was, by)
	return nil
}

func validLease(l *coordinationv1.Lease) error {
	problem := ""
	switch {
	case len(validation.IsDNS1123Subdomain(l.Name)) > 0:
		problem = "metadata.name"
	case ptr.Deref(l.Spec.LeaseDurationSeconds, 1) <= 0:
		problem = "spec.leaseDurationSeconds"
	case ptr.Deref(l.Spec.LeaseTransitions, 0) < 0:
		problem = "spec.leaseTransitions"
	}
	for key, value := range l.Labels {
		if len(validation.IsValidLabelValue(value)) > 0 {
			problem = fmt.Sprintf("metadata.labels[%s]", key)
		}
	}
	if problem != "" {
		return apierrors.NewInvalid(coordinationv1.SchemeGroupVersion.WithKind("Lease").GroupKind(), l.Name+": "+problem, nil)
	}
	return nil
}

// orphaned says that none of the Lease's owners exists, so that the garbage
// collector will delete it. It looks at the owners once more before it does
// (pkg/controller/garbagecollector/operations.go, deleteObject).
func (s *server) orphaned(l *coordinationv1.Lease) bool {
	for _, owner := range l.OwnerReferences {
		for _, o := range s.objects[repositories] {
			if o.GetUID() == owner.UID && o.GetNamespace() == l.Namespace {
				return false
			}
		}
	}
	return len(l.OwnerReferences) > 0
}
