package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is that of all types here.
var GroupVersion = schema.GroupVersion{Group: "pac-lease-queue.dev", Version: "v1alpha1"}

// AddToScheme has a scheme know the types.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &RunQueue{}, &RunQueueList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
