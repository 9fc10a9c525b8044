package doctor

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Examine looks at everything, and a second time if a finding may pass.
func (d *Doctor) Examine(ctx context.Context, scope inspect.Scope) (*Report, error) {
	facts, err := d.read(ctx, scope)
	if err != nil {
		return nil, err
	}
	found := examine(facts)
	if slices.ContainsFunc(found, func(f Finding) bool { return f.passing }) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-d.Clock.After(d.Settle):
		}
		if facts, err = d.read(ctx, scope); err != nil {
			return nil, err
		}
		found = stayed(found, examine(facts))
	}
	return &Report{Findings: found, Unseen: facts.Unseen, Summary: summary(facts)}, nil
}

// stayed are the findings of the second look, without passing ones that the first look did not
// find at the same place: a replica may still repair those.
func stayed(before, now []Finding) []Finding {
	return slices.DeleteFunc(now, func(f Finding) bool {
		return f.passing && !slices.ContainsFunc(before, func(b Finding) bool { return b.Check == f.Check && b.Where == f.Where })
	})
}

// summary says in a line what was examined.
func summary(f *Facts) string {
	runs, ready, want := 0, 0, 0
	for _, q := range f.Queues {
		runs += len(q.Runs)
	}
	for _, i := range f.Installations {
		ready += int(i.Deployment.Status.ReadyReplicas)
		want += int(ptr.Deref(i.Deployment.Spec.Replicas, 1))
	}
	s := fmt.Sprintf("%s with %s, %d of %s ready", plural(len(f.Queues), "queue"), plural(runs, "run"), ready, plural(want, "replica"))
	for _, p := range f.PAC {
		if p.Version != "" {
			s += ", Pipelines-as-Code " + p.Version
		}
	}
	if slices.ContainsFunc(f.Installations, func(i inspect.Installation) bool { return i.Config.Backend == store.Memory }) {
		s += "; slots are in the memory of a replica and were not examined"
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Fix carries out the repairs and notes the outcome of each in the report.
func (d *Doctor) Fix(ctx context.Context, r *Report) {
	for i := range r.Findings {
		repair := r.Findings[i].Repair
		if repair == nil {
			continue
		}
		l := lease.Relabel(repair.lease)
		if _, err := d.Kube.CoordinationV1().Leases(l.Namespace).Update(ctx, l, metav1.UpdateOptions{}); err != nil {
			repair.Outcome = "failed: " + err.Error()
			continue
		}
		repair.Outcome, repair.done = "done", true
	}
}
