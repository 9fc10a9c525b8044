package pac

import (
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations of this product on a PipelineRun. The guard lets nobody else
// change them while it is on.
const (
	// HeldOrder is PAC's execution order, moved here at admission by the hold.
	HeldOrder = "pac-lease-queue.dev/execution-order"
	// Attempt is the fencing number of the run; absent means 0.
	Attempt = "pac-lease-queue.dev/attempt"
	// NotBefore ends the back-off after an expired claim; RFC 3339.
	NotBefore = "pac-lease-queue.dev/not-before"
	// Claim is the token with which the run was started: slot/transition/attempt.
	Claim = "pac-lease-queue.dev/claim"
)

// What PAC writes; values from pkg/kubeinteraction/labels.go and resource.go.
const (
	managedBy   = "app.kubernetes.io/managed-by=pipelinesascode.tekton.dev"
	unfinished  = keys.State + " notin (completed,failed)"
	secretIsDue = "false"
)

// Selector selects PAC's runs that PAC has not finished with. Finished ones can
// number hundreds of thousands. A run that PAC has created but not labelled with
// a state yet is included: PAC may have died there.
const Selector = managedBy + "," + unfinished

// KeyOf says which queue an object of PAC's belongs to: the Repository named by
// its annotation, in its own namespace. The label of the same key holds the name
// only as far as it fits a label.
func KeyOf(o metav1.Object) (queue.Key, bool) {
	repository := o.GetAnnotations()[keys.Repository]
	return queue.Key{Namespace: o.GetNamespace(), Repository: repository}, repository != ""
}
