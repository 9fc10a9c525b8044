package pac

import (
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
)

// Operation is one operation of a JSON patch (RFC 6902).
type Operation struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	// Value is written even if it is empty, since an order may be.
	Value *string `json:"value,omitempty"`
}

// Hold returns the patch that moves PAC's execution order out of PAC's sight, to [HeldOrder], on a
// PipelineRun with these annotations; none if it has no such order. The chart's
// MutatingAdmissionPolicy does the same in CEL.
//
// The annotation is the only condition: an order that arrives after the run was started is moved
// too, which changes nothing, and any further condition could be false for a moment and let an
// order slip through.
func Hold(annotations map[string]string) []Operation {
	order, present := annotations[keys.ExecutionOrder]
	if !present {
		return nil
	}
	return []Operation{
		{Op: "add", Path: annotationPath(HeldOrder), Value: &order},
		{Op: "remove", Path: annotationPath(keys.ExecutionOrder)},
	}
}

// annotationPath returns the JSON pointer (RFC 6901) to an annotation.
func annotationPath(key string) string {
	return "/metadata/annotations/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
