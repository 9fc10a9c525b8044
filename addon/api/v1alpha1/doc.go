// Package v1alpha1 has the types of the API group pac-lease-queue.dev. The CRDs of the chart and
// their reference in docs/queues.md are made of them; their comments are for users.
//
// +kubebuilder:object:generate=true
// +groupName=pac-lease-queue.dev
package v1alpha1
