package pac

import (
	"strings"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
)

// Operation is one operation of a JSON patch (RFC 6902).
type Operation struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	// Value is written even if it is empty: an order may be.
	Value *string `json:"value,omitempty"`
}

// Hold is the hold, for a PipelineRun with these annotations: the patch that moves
// PAC's execution order out of PAC's sight, to [HeldOrder]; none if there is no
// such order. The chart's MutatingAdmissionPolicy says the same in CEL.
//
// It asks for nothing but the annotation: an order that arrives after the run was
// started is moved too, which changes nothing, and a condition that could be false
// for a moment is one more way for an order to slip through.
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

// annotationPath is the JSON pointer (RFC 6901) to an annotation.
func annotationPath(key string) string {
	return "/metadata/annotations/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
