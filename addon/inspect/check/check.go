// Package check looks whether an installation does what it says: its configuration
// can be read, its replicas are up and one of them leads, and the API server
// enforces hold and guard. Nothing is changed: hold and guard are tried by requests
// that are not carried out.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// Installation is what is looked at.
type Installation struct {
	Kube   kubernetes.Interface
	Tekton tektonclient.Interface
	// Namespace is where the product is installed; ConfigMap, Deployment and
	// Component are what it is called there.
	Namespace, ConfigMap, Deployment, Component string
	// RunsIn is a namespace whose runs are held, in which runs may be created.
	RunsIn string
	// Hold and Guard say whether there ought to be one.
	Hold, Guard bool
	Clock       clock.PassiveClock
}

// Run looks at everything, tells each finding in a line, and returns an error if
// something is wrong.
func (i *Installation) Run(ctx context.Context, out io.Writer) error {
	failed := 0
	for _, c := range []struct {
		what string
		skip bool
		look func(context.Context) error
	}{
		{"configuration", false, i.configuration},
		{"replicas", false, i.replicas},
		{"leader", false, i.leader},
		{"hold", !i.Hold, i.hold},
		{"guard", !i.Guard, i.guard},
	} {
		if c.skip {
			fmt.Fprintf(out, "off   %s\n", c.what)
			continue
		}
		if err := c.look(ctx); err != nil {
			failed++
			fmt.Fprintf(out, "WRONG %s: %v\n", c.what, err)
			continue
		}
		fmt.Fprintf(out, "ok    %s\n", c.what)
	}
	if failed > 0 {
		return fmt.Errorf("%d of the checks failed", failed)
	}
	return nil
}

func (i *Installation) configuration(ctx context.Context) error {
	cm, err := i.Kube.CoreV1().ConfigMaps(i.Namespace).Get(ctx, i.ConfigMap, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if _, err := config.Parse(cm.Data); err != nil {
		return fmt.Errorf("ConfigMap %s/%s is not in force, an older one is: %w", i.Namespace, i.ConfigMap, err)
	}
	return nil
}

func (i *Installation) replicas(ctx context.Context) error {
	d, err := i.Kube.AppsV1().Deployments(i.Namespace).Get(ctx, i.Deployment, metav1.GetOptions{})
	if err != nil {
		return err
	}
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	if d.Status.ReadyReplicas < want {
		return fmt.Errorf("%d of %d replicas of Deployment %s/%s are ready: look at their events and logs", d.Status.ReadyReplicas, want, i.Namespace, i.Deployment)
	}
	return nil
}

// clocksDiffer is by how much they may.
const clocksDiffer = 30 * time.Second

// Leads says whether a Lease of leader election is held, and was renewed in time.
func Leads(l coordinationv1.LeaseSpec, now time.Time) bool {
	if ptr.Deref(l.HolderIdentity, "") == "" || l.RenewTime == nil || l.LeaseDurationSeconds == nil {
		return false
	}
	return now.Sub(l.RenewTime.Time) <= time.Duration(*l.LeaseDurationSeconds)*time.Second+clocksDiffer
}

func (i *Installation) leader(ctx context.Context) error {
	leases, err := i.Kube.CoordinationV1().Leases(i.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, l := range leases.Items {
		if strings.HasPrefix(l.Name, i.Component+".") && Leads(l.Spec, i.Clock.Now()) {
			return nil
		}
	}
	return fmt.Errorf("no Lease %s.* in namespace %s is held and fresh: is a replica running, and may it write Leases there?", i.Component, i.Namespace)
}

func (i *Installation) hold(ctx context.Context) error {
	created, err := i.dryRun(ctx, keys.ExecutionOrder, i.RunsIn+"/"+probe)
	if err != nil {
		return fmt.Errorf("a run with an execution order cannot be created: %w", err)
	}
	if _, visible := created.Annotations[keys.ExecutionOrder]; visible || created.Annotations[pac.HeldOrder] == "" {
		return errors.New("the API server does not move the execution order of a run away: Pipelines-as-Code's own queue starts runs as well. " +
			"It takes about a second after an installation; otherwise look whether the policy or the webhook is there (admission.hold of the chart)")
	}
	return nil
}

func (i *Installation) guard(ctx context.Context) error {
	_, err := i.dryRun(ctx, pac.Claim, "0/1/0")
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
		return nil
	case err != nil:
		return fmt.Errorf("a forged claim is refused, but not by the guard: %w", err)
	default:
		return errors.New("the API server lets anybody write a claim on a run: look whether the policy and its binding are there (admission.guard of the chart)")
	}
}

const probe = "pac-lease-queue-check"

// dryRun asks for a run with an annotation, which is not created.
func (i *Installation) dryRun(ctx context.Context, annotation, value string) (*tektonv1.PipelineRun, error) {
	return i.Tekton.TektonV1().PipelineRuns(i.RunsIn).Create(ctx, &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: probe, Annotations: map[string]string{annotation: value}},
		Spec: tektonv1.PipelineRunSpec{
			Status:      tektonv1.PipelineRunSpecStatusPending,
			PipelineRef: &tektonv1.PipelineRef{Name: probe},
		},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}
