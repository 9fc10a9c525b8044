package rights

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Names that the chart and PAC give.
const (
	settings             = pac.SettingsName
	globalRepository     = "pipelines-as-code"
	configuration        = "pac-lease-queue-config"
	bucket               = "pac-lease-queue.queues.00-of-01"
	certificate          = "pac-lease-queue-webhook-certs"
	webhookConfiguration = "pac-lease-queue-hold"
)

const usualTTL = "30s"

// work is what a replica does for people, in steps that each name what somebody
// would miss.
type work func(*pass) []step

type step struct {
	what string
	do   func(context.Context) error
}

// pass is the work done once, on Repositories of its own.
type pass struct {
	*installation
	number int
	kube   kubernetes.Interface
	tekton tektonclient.Interface
	pac    pacclient.Interface
}

// prepare makes what is there before the add-on.
func (in *installation) prepare(t *testing.T) {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: settings}}
	_, err := cluster.Kubernetes().CoreV1().ConfigMaps(in.namespaces[ofPAC]).Create(t.Context(), cm, metav1.CreateOptions{})
	must(t, err)
}

// work has the work done once, with the replica as it is; the error names the step
// that could not be done.
func (in *installation) work(ctx context.Context, work work) error {
	ctx, stop := context.WithTimeoutCause(ctx, workDeadline, fmt.Errorf("not within %s", workDeadline))
	defer stop()
	in.passes++
	p := &pass{installation: in, number: in.passes, kube: cluster.Kubernetes()}
	var err error
	if p.tekton, err = tektonclient.NewForConfig(cluster.Config(stack.Admin)); err != nil {
		return err
	}
	if p.pac, err = pacclient.NewForConfig(cluster.Config(stack.Admin)); err != nil {
		return err
	}
	for _, s := range work(p) {
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("not done: %s: %w", s.what, err)
		}
	}
	return nil
}

// queues is what a replica does with either hold.
func queues(p *pass) []step {
	shop := fmt.Sprintf("shop-%d", p.number)
	first, second, third, fourth, fifth := shop+"-1", shop+"-2", shop+"-3", shop+"-4", shop+"-5"
	return []step{
		{"a run that waits is started", func(ctx context.Context) error {
			if err := p.repository(ctx, watched, shop, new(1)); err != nil {
				return err
			}
			if err := p.runs(ctx, shop, first, second); err != nil {
				return err
			}
			return p.started(ctx, first)
		}},
		{"the replica is ready", func(ctx context.Context) error { return p.replica().WaitReady(ctx) }},
		{"the next is started when the one before is done", func(ctx context.Context) error {
			if err := p.finish(ctx, first); err != nil {
				return err
			}
			return p.started(ctx, second)
		}},
		{"a deleted run gives its slot away", func(ctx context.Context) error {
			if err := p.runs(ctx, shop, third); err != nil {
				return err
			}
			if err := p.tekton.TektonV1().PipelineRuns(p.namespaces[watched]).Delete(ctx, second, metav1.DeleteOptions{}); err != nil {
				return err
			}
			return p.started(ctx, third)
		}},
		{"a raised limit is used", func(ctx context.Context) error {
			if err := p.runs(ctx, shop, fourth); err != nil {
				return err
			}
			if err := p.limit(ctx, shop, 2); err != nil {
				return err
			}
			return p.started(ctx, fourth)
		}},
		{"a lowered limit takes slots away", func(ctx context.Context) error {
			if err := p.finish(ctx, fourth); err != nil {
				return err
			}
			if err := p.limit(ctx, shop, 1); err != nil {
				return err
			}
			return p.slot(ctx, shop, 1, false)
		}},
		{"a slot that somebody took the labels off gets them back", func(ctx context.Context) error {
			leases, name := p.kube.CoordinationV1().Leases(p.namespaces[watched]), lease.Name(shop, 0)
			if _, err := leases.Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{}); err != nil {
				return err
			}
			return until(ctx, func() error {
				l, err := leases.Get(ctx, name, metav1.GetOptions{})
				if err == nil && len(l.Labels) == 0 {
					err = fmt.Errorf("Lease %s has no labels", name)
				}
				return err
			})
		}},
		{"people are told what is wrong with a run, again and again", func(ctx context.Context) error {
			if err := p.runs(ctx, shop, fifth); err != nil {
				return err
			}
			return p.complaints(ctx, watched, "PipelineRun", fifth, func(wrong string) error {
				return p.annotate(ctx, fifth, map[string]string{pac.NotBefore: wrong})
			})
		}},
		{"the limit of PAC's global Repository counts", func(ctx context.Context) error {
			if err := p.inheritedLimit(ctx); err != nil {
				return err
			}
			heir := fmt.Sprintf("heir-%d", p.number)
			if err := p.repository(ctx, watched, heir, nil); err != nil {
				return err
			}
			if err := p.runs(ctx, heir, heir+"-1", heir+"-2"); err != nil {
				return err
			}
			if err := p.started(ctx, heir+"-1"); err != nil {
				return err
			}
			return p.slot(ctx, heir, 0, true)
		}},
		{"PAC's settings count", func(ctx context.Context) error {
			ci := fmt.Sprintf("ci-%d", p.number)
			if err := p.setting(ctx, "false"); err != nil {
				return err
			}
			if err := p.repository(ctx, watched, ci, new(1)); err != nil {
				return err
			}
			if err := p.runs(ctx, ci, ci+"-1"); err != nil {
				return err
			}
			if err := p.started(ctx, ci+"-1"); err != nil {
				return err
			}
			// Creation times have seconds, and of two of the same second neither is the newer one.
			if err := p.aSecondAfter(ctx, ci+"-1"); err != nil {
				return err
			}
			if err := p.runs(ctx, ci, ci+"-2"); err != nil {
				return err
			}
			if err := p.setting(ctx, "true"); err != nil {
				return err
			}
			return p.run(ctx, ci+"-1", "cancelled", func(pr *tektonv1.PipelineRun) bool { return pr.IsCancelled() || pr.IsGracefullyCancelled() })
		}},
		{"a change of the backend takes effect, and the leader works on", func(ctx context.Context) error {
			if err := p.configure(ctx, "backend", "memory"); err != nil {
				return err
			}
			if err := p.slot(ctx, shop, 0, false); err != nil {
				return err
			}
			if err := p.finish(ctx, third); err != nil {
				return err
			}
			// In memory nobody but the leader starts anything.
			return p.started(ctx, fifth)
		}},
		{"and back", func(ctx context.Context) error {
			if err := p.configure(ctx, "backend", "lease"); err != nil {
				return err
			}
			return p.slot(ctx, shop, 0, true)
		}},
		{"the leader's own Lease is made anew", func(ctx context.Context) error {
			leases, name := p.kube.CoordinationV1().Leases(p.namespaces[own]), bucket
			if err := leases.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
				return err
			}
			return until(ctx, func() error { _, err := leases.Get(ctx, name, metav1.GetOptions{}); return err })
		}},
		{"people are told what is wrong with the configuration, again and again", func(ctx context.Context) error {
			err := p.complaints(ctx, own, "ConfigMap", configuration, func(wrong string) error { return p.configure(ctx, "claim-ttl", wrong) })
			if err != nil {
				return err
			}
			return p.configure(ctx, "claim-ttl", usualTTL)
		}},
	}
}

// certificates is what a replica does for its webhook.
func certificates(p *pass) []step {
	configurations := p.kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	certified := func(ctx context.Context) error {
		return until(ctx, func() error {
			c, err := configurations.Get(ctx, webhookConfiguration, metav1.GetOptions{})
			if err == nil && len(c.Webhooks[0].ClientConfig.CABundle) == 0 {
				err = fmt.Errorf("%s names no certificate", webhookConfiguration)
			}
			return err
		})
	}
	return []step{
		{"the API server is told the certificate", certified},
		{"the replica is ready", func(ctx context.Context) error { return p.replica().WaitReady(ctx) }},
		{"it is told again", func(ctx context.Context) error {
			patch := []byte(`[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":""}]`)
			if _, err := configurations.Patch(ctx, webhookConfiguration, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
				return err
			}
			return certified(ctx)
		}},
		{"a certificate that is deleted is made anew", func(ctx context.Context) error {
			secrets := p.kube.CoreV1().Secrets(p.namespaces[own])
			old, err := secrets.Get(ctx, certificate, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if err := secrets.Delete(ctx, certificate, metav1.DeleteOptions{}); err != nil {
				return err
			}
			return until(ctx, func() error {
				s, err := secrets.Get(ctx, certificate, metav1.GetOptions{})
				if err == nil && (s.UID == old.UID || len(s.Data) == 0) {
					err = fmt.Errorf("Secret %s is not made yet", certificate)
				}
				return err
			})
		}},
	}
}

func (p *pass) repository(ctx context.Context, in place, name string, limit *int) error {
	_, err := p.pac.PipelinesascodeV1alpha1().Repositories(p.namespaces[in]).Create(ctx, &pacv1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       pacv1alpha1.RepositorySpec{URL: "https://git.example.com/" + p.namespaces[in] + "/" + name, ConcurrencyLimit: limit},
	}, metav1.CreateOptions{})
	return err
}

// inheritedLimit sees to a global Repository with limit 1, and that replicas which
// may watch know of it. It is another one for every pass.
func (p *pass) inheritedLimit(ctx context.Context) error {
	repositories := p.pac.PipelinesascodeV1alpha1().Repositories(p.namespaces[ofPAC])
	if err := repositories.Delete(ctx, globalRepository, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return p.repository(ctx, ofPAC, globalRepository, new(1))
}

func (p *pass) limit(ctx context.Context, name string, limit int) error {
	patch := fmt.Appendf(nil, `{"spec":{"concurrency_limit":%d}}`, limit)
	_, err := p.pac.PipelinesascodeV1alpha1().Repositories(p.namespaces[watched]).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// runs makes the runs of one event as PAC and the hold leave them.
func (p *pass) runs(ctx context.Context, repository string, names ...string) error {
	var order []string
	for _, name := range names {
		order = append(order, p.namespaces[watched]+"/"+name)
	}
	for _, name := range names {
		pr := &tektonv1.PipelineRun{
			ObjectMeta: metav1.ObjectMeta{
				Name:   name,
				Labels: map[string]string{"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev", keys.Repository: repository, keys.State: "queued"},
				Annotations: map[string]string{
					keys.Repository: repository, keys.State: "queued", pac.HeldOrder: strings.Join(order, ","),
					keys.OriginalPRName: "build", keys.EventType: "push", keys.SourceBranch: "refs/heads/main",
				},
			},
			Spec: tektonv1.PipelineRunSpec{
				PipelineRef: &tektonv1.PipelineRef{Name: "build"}, Status: tektonv1.PipelineRunSpecStatusPending,
			},
		}
		if repository != fmt.Sprintf("ci-%d", p.number) {
			pr.Annotations[keys.CancelInProgress] = "false"
		}
		if _, err := p.tekton.TektonV1().PipelineRuns(p.namespaces[watched]).Create(ctx, pr, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) started(ctx context.Context, name string) error {
	return p.run(ctx, name, "started", func(pr *tektonv1.PipelineRun) bool { return pr.Spec.Status == "" })
}

// run waits until the run is so.
func (p *pass) run(ctx context.Context, name, what string, is func(*tektonv1.PipelineRun) bool) error {
	return until(ctx, func() error {
		pr, err := p.tekton.TektonV1().PipelineRuns(p.namespaces[watched]).Get(ctx, name, metav1.GetOptions{})
		if err == nil && !is(pr) {
			err = fmt.Errorf("%s is not %s", name, what)
		}
		return err
	})
}

// aSecondAfter waits until it is another second than that of the run's creation.
func (p *pass) aSecondAfter(ctx context.Context, name string) error {
	pr, err := p.tekton.TektonV1().PipelineRuns(p.namespaces[watched]).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return until(ctx, func() error {
		if time.Since(pr.CreationTimestamp.Time) < time.Second {
			return fmt.Errorf("it is the second in which %s was created", name)
		}
		return nil
	})
}

// finish is Tekton saying that a run succeeded.
func (p *pass) finish(ctx context.Context, name string) error {
	now := metav1.Now()
	patch, err := json.Marshal(map[string]any{"status": tektonv1.PipelineRunStatus{
		Status: duckv1.Status{Conditions: duckv1.Conditions{{
			Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded", LastTransitionTime: apis.VolatileTime{Inner: now},
		}}},
		PipelineRunStatusFields: tektonv1.PipelineRunStatusFields{StartTime: &now, CompletionTime: &now},
	}})
	if err != nil {
		return err
	}
	_, err = p.tekton.TektonV1().PipelineRuns(p.namespaces[watched]).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func (p *pass) annotate(ctx context.Context, name string, annotations map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	_, err = p.tekton.TektonV1().PipelineRuns(p.namespaces[watched]).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// slot waits until a slot's Lease is there, or is not.
func (p *pass) slot(ctx context.Context, repository string, index int, want bool) error {
	name := lease.Name(repository, index)
	return until(ctx, func() error {
		_, err := p.kube.CoordinationV1().Leases(p.namespaces[watched]).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && !want:
			return fmt.Errorf("Lease %s is there", name)
		case apierrors.IsNotFound(err) && !want:
			return nil
		default:
			return err
		}
	})
}

// configure changes one value of the configuration.
func (in *installation) configure(ctx context.Context, key, value string) error {
	return in.patchConfigMap(ctx, own, configuration, key, value)
}

// setting has PAC cancel older runs of a branch or not.
func (p *pass) setting(ctx context.Context, cancel string) error {
	return p.patchConfigMap(ctx, ofPAC, settings, "enable-cancel-in-progress-on-push", cancel)
}

func (in *installation) patchConfigMap(ctx context.Context, where place, name, key, value string) error {
	patch, err := json.Marshal(map[string]any{"data": map[string]string{key: value}})
	if err != nil {
		return err
	}
	_, err = cluster.Kubernetes().CoreV1().ConfigMaps(in.namespaces[where]).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// complaints makes an object wrong in so many ways that client-go sums their
// events up in one, which it then patches, and waits for each to be told.
func (p *pass) complaints(ctx context.Context, in place, kind, name string, spoil func(wrong string) error) error {
	for i := range 12 {
		wrong := fmt.Sprintf("wrong-%d-%02d", p.number, i)
		if err := spoil(wrong); err != nil {
			return err
		}
		err := until(ctx, func() error {
			events, err := p.kube.CoreV1().Events(p.namespaces[in]).List(ctx, metav1.ListOptions{
				FieldSelector: "involvedObject.kind=" + kind + ",involvedObject.name=" + name,
			})
			if err != nil {
				return err
			}
			for _, e := range events.Items {
				if strings.Contains(e.Message, wrong) {
					return nil
				}
			}
			return fmt.Errorf("no event of %d tells of %q", len(events.Items), wrong)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
