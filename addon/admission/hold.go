package admission

import (
	"context"
	"encoding/json"

	admissionv1 "k8s.io/api/admission/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"knative.dev/pkg/webhook"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// Path is the path under which the hold is served.
const Path = "/hold"

// hold answers admission requests.
type hold struct{ webhook.StatelessAdmissionImpl }

var (
	_ webhook.AdmissionController          = hold{}
	_ webhook.StatelessAdmissionController = hold{}
)

// Path implements webhook.AdmissionController.
func (hold) Path() string { return Path }

// Admit implements webhook.AdmissionController.
func (hold) Admit(_ context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	var run struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	// As Kubernetes reads JSON: case-sensitive, so that Metadata is not metadata.
	if err := utiljson.Unmarshal(request.Object.Raw, &run); err != nil {
		return webhook.MakeErrorStatus("pac-lease-queue cannot read the annotations of %s %s/%s: %v",
			request.Kind.Kind, request.Namespace, request.Name, err)
	}
	operations := pac.Hold(run.Metadata.Annotations)
	if len(operations) == 0 {
		return &admissionv1.AdmissionResponse{Allowed: true}
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		return webhook.MakeErrorStatus("pac-lease-queue cannot encode its patch: %v", err)
	}
	patchType := admissionv1.PatchTypeJSONPatch
	return &admissionv1.AdmissionResponse{Allowed: true, Patch: patch, PatchType: &patchType}
}
