package report_test

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// What stays refused until an operator acts is told from what passes by itself.
func TestRefusal(t *testing.T) {
	leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	quota := apierrors.NewForbidden(leases, "app.slot-0", errors.New("exceeded quota: few"))
	const words = `leases.coordination.k8s.io "app.slot-0" is forbidden: exceeded quota: few`
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a quota":           {fmt.Errorf("claim slot 0 for a: %w", quota), words},
		"a policy":          {apierrors.NewInvalid(schema.GroupKind{Kind: "Lease"}, "x", nil), `Lease "x" is invalid`},
		"a webhook is down": {apierrors.NewInternalError(errors.New("no answer")), "Internal error occurred: no answer"},
		"a conflict":        {apierrors.NewConflict(leases, "x", errors.New("old")), ""},
		"stale":             {fmt.Errorf("%w: %w", engine.ErrStale, apierrors.NewNotFound(leases, "x")), ""},
		"busy":              {apierrors.NewTooManyRequests("later", 1), ""},
		"too slow":          {apierrors.NewTimeoutError("late", 1), ""},
		"no answer":         {errors.New("connection refused"), ""},
		"nothing":           {nil, ""},
	} {
		if got, refused := report.Refusal(c.err); got != c.want || refused != (c.want != "") {
			t.Errorf("%s: refused %t, %q; want %q", name, refused, got, c.want)
		}
	}
}
