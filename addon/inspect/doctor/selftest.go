package doctor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// SelfTest examines one installation from inside the cluster: the command check, which helm test
// runs. Its checks are those of [Doctor], with other tolerances. It has the rights of one pod; it
// waits for what an installation needs some time for; hand-back is no fault; and it tries hold and
// guard by requests that are not carried out, where Doctor reads whether their policies are there.
type SelfTest struct {
	Kube        kubernetes.Interface
	Tekton      tektonclient.Interface
	Environment config.Environment
	Clock       clock.Clock
	// Patience is how long replicas may take to be ready, and hold and guard to be in force. With
	// none, SelfTest looks once.
	Patience time.Duration
}

// selfTestPause separates two looks.
const selfTestPause = 2 * time.Second

// Run prints a line for each check and returns an error if one fails.
func (t *SelfTest) Run(ctx context.Context, out io.Writer) error {
	deadline, waited := t.Clock.Now().Add(t.Patience), false
	for {
		var text strings.Builder
		failed, settles := t.look(ctx, &text)
		if len(failed) == 0 || !settles || !t.Clock.Now().Before(deadline) {
			if _, err := io.WriteString(out, text.String()); err != nil || len(failed) == 0 {
				return err
			}
			return fmt.Errorf("%s failed", plural(len(failed), "check"))
		}
		if !waited {
			fmt.Fprintf(out, "wait  %s, for at most %s\n", strings.Join(failed, ", "), t.Patience)
			waited = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.Clock.After(selfTestPause):
		}
	}
}

// look makes every check once. It returns those that fail, and whether they may succeed soon.
func (t *SelfTest) look(ctx context.Context, out io.Writer) (failed []string, settles bool) {
	f := &Facts{Now: t.Clock.Now(), Leaders: map[string][]coordinationv1.Lease{}, PAC: map[string]PAC{}}
	i := inspect.Installation{Environment: t.Environment, Config: config.Defaults()}
	deployment, deploymentErr := t.Kube.AppsV1().Deployments(t.Environment.Namespace).Get(ctx, t.Environment.Deployment,
		metav1.GetOptions{})
	i.Deployment.Namespace, i.Deployment.Name = t.Environment.Namespace, t.Environment.Deployment
	if deploymentErr == nil {
		i.Deployment = *deployment
	}
	configErr := i.ReadConfig(ctx, t.Kube)
	f.Installations = []inspect.Installation{i}

	settles = true
	for _, c := range []struct {
		name         string
		off, settles bool
		look         func() ([]Finding, error)
	}{
		{"configuration", false, false, func() ([]Finding, error) { return configured(f), configErr }},
		{"Pipelines-as-Code", t.Environment.WithoutPAC, false, func() ([]Finding, error) { return t.pac(ctx, f, i.Config.PACNamespace) }},
		{"replicas", false, true, func() ([]Finding, error) { return replicas(f), deploymentErr }},
		{"leader", false, true, func() ([]Finding, error) {
			leases, err := leaderLeases(ctx, t.Kube, i)
			f.Leaders[i.Name()] = leases
			return leader(f), err
		}},
		{"hold", t.Environment.Hold == "", true, func() ([]Finding, error) { return t.hold(ctx) }},
		{"guard", t.Environment.Guard == "", true, func() ([]Finding, error) { return t.guard(ctx) }},
	} {
		if c.off {
			fmt.Fprintf(out, "off   %s\n", c.name)
			continue
		}
		found, err := c.look()
		found = slices.DeleteFunc(found, func(f Finding) bool { return f.intended })
		switch {
		case err != nil:
			fmt.Fprintf(out, "WRONG %s: %v\n", c.name, err)
		case len(found) > 0:
			for _, f := range found {
				fmt.Fprintf(out, "WRONG %s: %s: %s\n      %s\n", c.name, f.Where, strings.ReplaceAll(f.What, "\n", "\n      "), f.Do)
			}
		default:
			fmt.Fprintf(out, "ok    %s\n", c.name)
			continue
		}
		failed, settles = append(failed, c.name), settles && c.settles
	}
	return failed, settles
}

// pac looks whether Pipelines-as-Code is where its limits are looked for.
func (t *SelfTest) pac(ctx context.Context, f *Facts, namespace string) ([]Finding, error) {
	_, err := t.Kube.CoreV1().ConfigMaps(namespace).Get(ctx, pac.SettingsName, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	f.PAC[namespace] = PAC{Found: err == nil}
	return pacVersion(f), nil
}

// hold tries whether the API server hides the execution order of a run.
func (t *SelfTest) hold(ctx context.Context) ([]Finding, error) {
	if t.Environment.WithoutPAC {
		return t.holdsLabelled(ctx)
	}
	created, err := t.dryRun(ctx, pac.ExecutionOrder, t.Environment.CheckNamespace+"/"+probe)
	if err != nil {
		return nil, fmt.Errorf("create a run with an execution order (dry run): %w", err)
	}
	if _, visible := created.Annotations[pac.ExecutionOrder]; !visible && created.Annotations[pac.HeldOrder] != "" {
		return nil, nil
	}
	return t.noHold("The API server does not hide the execution order of a run. " + withoutHold), nil
}

// holdsLabelled tries whether a run waits that is labelled for a queue.
func (t *SelfTest) holdsLabelled(ctx context.Context) ([]Finding, error) {
	run := probeRun()
	run.Labels = map[string]string{pac.QueueLabel: probe}
	created, err := t.create(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("create a run that is labelled for a queue (dry run): %w", err)
	}
	if pac.IsLabelled(created) {
		return nil, nil
	}
	return t.noHold("The API server does not hold a run that is labelled for a queue: it would not wait for a slot."), nil
}

// noHold is what is found where the API server does not do what the hold is for.
func (t *SelfTest) noHold(what string) []Finding {
	return []Finding{{
		Where: t.Environment.Hold, What: what,
		Do: "Wait a second if it has just been installed. Otherwise check that the policy or the webhook is there (admission.hold of " +
			"the chart).",
	}}
}

// guard tries whether the API server refuses a forged claim.
func (t *SelfTest) guard(ctx context.Context) ([]Finding, error) {
	_, err := t.dryRun(ctx, pac.Claim, "0/1/0")
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("a forged claim is refused, but not by the guard: %w", err)
	}
	return []Finding{{
		Where: t.Environment.Guard, What: "The API server accepts a forged claim on a run. " + withoutGuard,
		Do: "Check that the policy and its binding are there (admission.guard of the chart).",
	}}, nil
}

const probe = "pac-lease-queue-check"

// dryRun asks for a run with an annotation; the API server does not create it.
func (t *SelfTest) dryRun(ctx context.Context, annotation, value string) (*tektonv1.PipelineRun, error) {
	run := probeRun()
	run.Annotations = map[string]string{annotation: value}
	return t.create(ctx, run)
}

func (t *SelfTest) create(ctx context.Context, run *tektonv1.PipelineRun) (*tektonv1.PipelineRun, error) {
	return t.Tekton.TektonV1().PipelineRuns(t.Environment.CheckNamespace).
		Create(ctx, run, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func probeRun() *tektonv1.PipelineRun {
	return &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: probe},
		Spec: tektonv1.PipelineRunSpec{
			Status:      tektonv1.PipelineRunSpecStatusPending,
			PipelineRef: &tektonv1.PipelineRef{Name: probe},
		},
	}
}
