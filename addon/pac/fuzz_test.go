package pac_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// FuzzReadRun: whatever is in the annotations of a run, it reads as a run, says
// what is wrong with it, and reads the same from a cache.
func FuzzReadRun(f *testing.F) {
	f.Add("shop/build,shop/test", "", "3", "2026-07-01T12:00:00Z", "0/1/0", "true", "", "PipelineRunPending")
	f.Add("no-slash", "shop/build", "-1", "soon", "x", "false", "42", "")
	f.Fuzz(func(t *testing.T, held, order, attempt, notBefore, claim, secret, installation, status string) {
		pr := pipelineRun("build", specStatus(tektonv1.PipelineRunSpecStatus(status)))
		for key, value := range map[string]string{
			pac.HeldOrder: held, keys.ExecutionOrder: order, pac.Attempt: attempt, pac.NotBefore: notBefore,
			pac.Claim: claim, keys.SecretCreated: secret, keys.InstallationID: installation,
		} {
			if delete(pr.Annotations, key); value != "" {
				pr.Annotations[key] = value
			}
		}
		r := pac.ReadRun(pr)
		if r.Attempt < 0 || (r.Order != nil) != (held != "" || order != "") || r.Held() != (held != "") {
			t.Errorf("attempt %d, ordered %t, held %t", r.Attempt, r.Order != nil, r.Held())
		}
		if r.Order.Malformed() && len(r.Problems) == 0 {
			t.Errorf("an order that cannot be used, and the run says %q", r.Problems)
		}
		if (r.Claim == nil) != (claim == "") && len(r.Problems) == 0 {
			t.Errorf("claim %q reads as %v, and the run says nothing of it", claim, r.Claim)
		}
		if status == "" && r.Phase != queue.Started || status == "PipelineRunPending" && r.Phase != queue.Pending {
			t.Errorf("status %q is phase %s", status, r.Phase)
		}
		if diff := cmp.Diff(r, pac.ReadRun(fromCache(pr)), sequencesByNames); diff != "" {
			t.Errorf("from the cache it reads otherwise (-whole +cached):\n%s", diff)
		}
	})
}
