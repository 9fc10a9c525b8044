package report

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
)

// Refusal returns the API server's own words if it refuses a write until an operator changes
// something: a quota, a policy, a webhook, a right. A write that came too late, took too long or
// met an API server that is busy is refused for the moment only, and may just be repeated.
func Refusal(err error) (words string, refused bool) {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) || errors.Is(err, engine.ErrStale) {
		return "", false
	}
	switch code := answer.Status().Code; code {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout:
		return "", false
	default:
		return answer.Status().Message, code >= http.StatusBadRequest
	}
}
