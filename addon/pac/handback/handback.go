package handback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// HandBack is one hand-back; all of it is required unless it says otherwise.
type HandBack struct {
	Kube   kubernetes.Interface
	Tekton tektonclient.Interface
	// Namespace and ConfigMap are where the replicas read their configuration.
	Namespace, ConfigMap string
	// Namespaces are those whose queues are handed back; "" is all.
	Namespaces []string
	// Hold and Guard are the names of the chart's objects for them; empty for one that the chart
	// does not have.
	Hold, Guard string
	// Patience is how long the replicas may take until everything has run out.
	Patience time.Duration
	// Out gets the progress, line by line.
	Out io.Writer
}

const (
	// lookEvery is the pause between looks at what is still held.
	lookEvery = time.Second
	// forgotten is how long the API server may go on enforcing a deleted policy, with a reserve.
	forgotten = 10 * time.Second
)

// Run hands everything back.
func (h *HandBack) Run(ctx context.Context) error {
	patch := []byte(`{"data":{"` + config.HandBackKey + `":"true"}}`)
	_, err := h.Kube.CoreV1().ConfigMaps(h.Namespace).Patch(ctx, h.ConfigMap, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("tell the replicas to hand back: %w", err)
	}
	if err := h.removePolicies(ctx); err != nil {
		return err
	}
	h.say("removed hold and guard; no more runs are started")

	left := 0
	err = wait.PollUntilContextTimeout(ctx, lookEvery, h.Patience, true, func(ctx context.Context) (bool, error) {
		runs, _, err := h.held(ctx)
		if err != nil {
			return false, nil // the API server may be busy: look again
		}
		if len(runs) != left {
			left = len(runs)
			h.say("%d runs left to hand back", left)
		}
		return left == 0, nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		h.say("some runs are still running after %s: handing the rest back now", h.Patience)
	}
	return errors.Join(h.handBackRest(ctx), lease.RemoveAll(ctx, h.Kube, h.Namespaces...))
}

// removePolicies removes the hold and the guard, which would take a run out of PAC's sight again,
// or keep PAC from starting it.
func (h *HandBack) removePolicies(ctx context.Context) error {
	admission := h.Kube.AdmissionregistrationV1()
	var errs []error
	remove := func(name string, remove func(context.Context, string, metav1.DeleteOptions) error) {
		if name == "" {
			return
		}
		// An older cluster may not know the kind itself.
		if err := remove(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove %s: %w", name, err))
		}
	}
	remove(h.Hold, admission.MutatingAdmissionPolicyBindings().Delete)
	remove(h.Hold, admission.MutatingAdmissionPolicies().Delete)
	remove(h.Hold, admission.MutatingWebhookConfigurations().Delete)
	remove(h.Guard, admission.ValidatingAdmissionPolicyBindings().Delete)
	remove(h.Guard, admission.ValidatingAdmissionPolicies().Delete)
	return errors.Join(errs...)
}

// handBackRest hands back every run that is still held, one conditional patch each. The hold
// may be in force for a moment after it was deleted, and replicas may be at work on
// the same runs, so it is tried again for a while.
func (h *HandBack) handBackRest(ctx context.Context) error {
	var last error
	var malformed []tektonv1.PipelineRun
	err := wait.PollUntilContextTimeout(ctx, lookEvery, forgotten, true, func(ctx context.Context) (bool, error) {
		var runs []tektonv1.PipelineRun
		var err error
		runs, malformed, err = h.held(ctx)
		if err != nil {
			last = err
			return false, nil
		}
		last = nil
		for i := range runs {
			if err := pac.HandBackRun(ctx, h.Tekton.TektonV1(), &runs[i]); err != nil && !errors.Is(err, engine.ErrStale) {
				last = errors.Join(last, fmt.Errorf("hand %s/%s back: %w", runs[i].Namespace, runs[i].Name, err))
			}
		}
		return len(runs) == 0, nil
	})
	if err != nil && last != nil {
		return last
	}
	if err != nil {
		return fmt.Errorf("some runs are still held after they were handed back: is the hold still in force? %w", err)
	}
	h.say("every queued run with a readable order is back with Pipelines-as-Code")
	for _, pr := range malformed {
		h.say("%s/%s has a malformed order and stays Pending: cancel or delete it", pr.Namespace, pr.Name)
	}
	return nil
}

// held lists the runs of pac.Held in all namespaces.
func (h *HandBack) held(ctx context.Context) (ordered, malformed []tektonv1.PipelineRun, err error) {
	for _, namespace := range h.Namespaces {
		o, m, err := pac.Held(ctx, h.Tekton.TektonV1(), namespace)
		if err != nil {
			return nil, nil, err
		}
		ordered, malformed = append(ordered, o...), append(malformed, m...)
	}
	return ordered, malformed, nil
}

func (h *HandBack) say(format string, args ...any) {
	fmt.Fprintf(h.Out, format+"\n", args...)
}
