package handback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
	// does not have. Of the guard, only the part that goes with the hold is removed.
	Hold, Guard string
	// Kueue says that the cluster has Kueue. The runs that are labelled for it are then its to
	// start, unless the configuration says otherwise.
	Kueue bool
	// Patience is how long the replicas may take until everything has run out.
	Patience time.Duration
	// Out gets the progress, line by line.
	Out io.Writer
}

const (
	// lookEvery is the least pause between looks at what is still held. A look that takes long is
	// followed by a longer one, since it costs the API server as much.
	lookEvery = time.Second
	// forgotten is how long the API server may enforce a deleted policy. Replicas hand nothing
	// back for as long after they have been told (replica.Changeover).
	forgotten = 2 * time.Second
	// stuck is how long runs may be handed back in vain: an API server may take longer than usual
	// to forget the hold, and replicas may be at work on the same runs.
	stuck = 10 * time.Second
	// atATime is how many runs are handed back at a time.
	atATime = 8
)

// Run hands everything back. Each step may be repeated, so a hand-back that was interrupted
// anywhere goes on where it was when it is run again.
func (h *HandBack) Run(ctx context.Context) error {
	patch := []byte(`{"data":{"` + config.HandBackKey + `":"true"}}`)
	cm, err := h.Kube.CoreV1().ConfigMaps(h.Namespace).Patch(ctx, h.ConfigMap, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("tell the replicas to hand back: %w", err)
	}
	if err == nil {
		h.Kueue = h.Kueue && config.Read(cm.Data).Config.KueueAccounts != ""
	}
	if err := h.removeHold(ctx); err != nil {
		return err
	}
	h.say("removed the hold; pac-lease-queue starts no more runs, and started ones may take %s to end", h.Patience)
	if err := h.awaitReplicas(ctx); err != nil {
		return err
	}
	if err := h.handBackRest(ctx); err != nil {
		return err
	}
	return lease.RemoveAll(ctx, h.Kube, h.Namespaces...)
}

// awaitReplicas waits until the replicas have handed everything back, or for as long as they may
// take, but at least until the hold is forgotten.
func (h *HandBack) awaitReplicas(ctx context.Context) error {
	for deadline := time.Now().Add(max(h.Patience, forgotten)); ; {
		began := time.Now()
		left, err := h.anyHeld(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && !left: // after an error, the API server may be busy: look again
			return nil
		case time.Now().After(deadline):
			h.say("some runs are still running after %s: handing the rest back now", h.Patience)
			return nil
		}
		if err := pause(ctx, max(lookEvery, 5*time.Since(began))); err != nil {
			return err
		}
	}
}

// anyHeld says whether any run is left to hand back.
func (h *HandBack) anyHeld(ctx context.Context) (bool, error) {
	for _, namespace := range h.Namespaces {
		found := false
		err := pac.EachHeld(ctx, h.Tekton.TektonV1(), namespace, h.Kueue, func(run pac.Held) bool {
			found = !run.Malformed
			return !found
		})
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// handBackRest hands back every run that is still held, one conditional patch each, again and again
// until there is none. It gives up only if nothing has come of that for a while.
func (h *HandBack) handBackRest(ctx context.Context) error {
	total, moved := 0, time.Now()
	for {
		pass := h.handBackAll(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if total += pass.done; pass.done > 0 {
			moved = time.Now()
		}
		switch {
		case pass.err == nil && pass.seen == 0:
			h.say("every queued run with a readable order is back with Pipelines-as-Code, %d of them by this hand-back", total)
			for _, name := range pass.malformed {
				h.say("%s has a malformed order and stays Pending: cancel or delete it", name)
			}
			return nil
		case time.Since(moved) < stuck:
		case pass.err != nil:
			return pass.err
		default:
			return fmt.Errorf("%d runs are held again after they were handed back: is the hold still in force?", pass.seen)
		}
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// pass is one look at all runs that are held.
type pass struct {
	seen, done int
	malformed  []string
	err        error
}

// mostErrors and mostNames bound what a pass says.
const mostErrors, mostNames = 5, 100

func (h *HandBack) handBackAll(ctx context.Context) pass {
	var (
		p      pass
		mu     sync.Mutex
		errs   []error
		writes errgroup.Group
	)
	writes.SetLimit(atATime)
	for _, namespace := range h.Namespaces {
		err := pac.EachHeld(ctx, h.Tekton.TektonV1(), namespace, h.Kueue, func(run pac.Held) bool {
			if run.Malformed {
				if len(p.malformed) < mostNames {
					p.malformed = append(p.malformed, run.Namespace+"/"+run.Name)
				}
				return true
			}
			p.seen++
			writes.Go(func() error {
				err := run.HandBack(ctx, h.Tekton.TektonV1())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					p.done++
				case !errors.Is(err, engine.ErrStale) && len(errs) < mostErrors:
					errs = append(errs, fmt.Errorf("hand %s/%s back: %w", run.Namespace, run.Name, err))
				}
				return nil
			})
			return true
		})
		if err != nil {
			mu.Lock()
			errs = append(errs, fmt.Errorf("list runs: %w", err))
			mu.Unlock()
		}
	}
	_ = writes.Wait() // its errors are in errs
	p.err = errors.Join(errs...)
	return p
}

// held ends the name of the part of the guard that goes with the hold.
const held = "-held"

// removeHold removes the hold, which would take a run out of PAC's sight again, and what keeps PAC
// from starting queued runs: a start that is refused costs the run its place in PAC's queue, and
// later runs overtake it. The rest of the guard still binds every other client.
func (h *HandBack) removeHold(ctx context.Context) error {
	admission := h.Kube.AdmissionregistrationV1()
	err := remove(ctx, h.Hold, admission.MutatingAdmissionPolicyBindings().Delete, admission.MutatingAdmissionPolicies().Delete,
		admission.MutatingWebhookConfigurations().Delete)
	if h.Guard == "" {
		return err
	}
	return errors.Join(err, remove(ctx, h.Guard+held, admission.ValidatingAdmissionPolicyBindings().Delete,
		admission.ValidatingAdmissionPolicies().Delete))
}

// remove deletes the objects of one name. An older cluster may not know a kind itself.
func remove(ctx context.Context, name string, kinds ...func(context.Context, string, metav1.DeleteOptions) error) error {
	if name == "" {
		return nil
	}
	var errs []error
	for _, remove := range kinds {
		if err := remove(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (h *HandBack) say(format string, args ...any) {
	fmt.Fprintf(h.Out, format+"\n", args...)
}
