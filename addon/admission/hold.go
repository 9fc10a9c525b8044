package admission

import (
	"context"
	"encoding/json"

	admissionv1 "k8s.io/api/admission/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"knative.dev/pkg/webhook"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// Paths under which the hold is served. The API server sends every write that the hold may change
// to the first, copies of PAC's runs to the second, and all new runs of PAC's to the third: who
// made a run decides that, and the conditions of the webhook configuration know who is PAC.
const (
	Path      = "/hold"
	CopyPath  = "/copy"
	KueuePath = "/kueue"
)

// hold answers admission requests.
type hold struct {
	webhook.StatelessAdmissionImpl
	path   string
	decide func(old *pac.Admitted, run pac.Admitted) []pac.Operation
}

var (
	_ webhook.AdmissionController          = hold{}
	_ webhook.StatelessAdmissionController = hold{}
)

// holds are what is served.
func holds() []any {
	return []any{
		hold{path: Path, decide: pac.Hold},
		hold{path: CopyPath, decide: func(_ *pac.Admitted, run pac.Admitted) []pac.Operation { return pac.Requeue(run) }},
		hold{path: KueuePath, decide: func(_ *pac.Admitted, run pac.Admitted) []pac.Operation { return pac.HideFromKueue(run) }},
	}
}

// Path implements webhook.AdmissionController.
func (h hold) Path() string { return h.path }

// Admit implements webhook.AdmissionController.
func (h hold) Admit(_ context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	run, err := read(request.Object.Raw)
	var old *pac.Admitted
	if err == nil && len(request.OldObject.Raw) > 0 {
		old, err = read(request.OldObject.Raw)
	}
	if err != nil {
		return webhook.MakeErrorStatus("pac-lease-queue cannot read the metadata and the status of %s %s/%s: %v",
			request.Kind.Kind, request.Namespace, request.Name, err)
	}
	operations := h.decide(old, *run)
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

// read is case-sensitive, as Kubernetes is: Metadata is not metadata.
func read(raw []byte) (*pac.Admitted, error) {
	run := &pac.Admitted{}
	return run, utiljson.Unmarshal(raw, run)
}
