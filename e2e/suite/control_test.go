package suite

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue/audit"
)

func TestBrokenBy(t *testing.T) {
	overLimit := &Broken{Violations: []audit.Violation{{Invariant: "I3"}, {Invariant: "I1"}}}
	stuck := &Broken{Stuck: true}
	for name, c := range map[string]struct {
		failure error
		want    *Broken
		err     error
	}{
		"over the limit":              {failure: fmt.Errorf("limit: %w", overLimit), want: overLimit},
		"stuck":                       {failure: errors.Join(errors.New("more"), stuck), want: stuck},
		"nothing broke":               {err: errHeld},
		"only the order broke":        {failure: &Broken{Violations: []audit.Violation{{Invariant: "I3"}}}, err: errOther},
		"the provider is unavailable": {failure: errors.New("503"), err: errOther},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := brokenBy(c.failure)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("brokenBy: %v, %v; want %v, %v", got, err, c.want, c.err)
			}
		})
	}
}
