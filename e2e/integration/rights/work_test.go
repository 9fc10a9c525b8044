package rights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// Names that the chart and PAC choose.
const (
	settings             = pac.SettingsName
	globalRepository     = "pipelines-as-code"
	configuration        = "pac-lease-queue-config"
	bucket               = "pac-lease-queue.queues.00-of-01"
	certificate          = "pac-lease-queue-webhook-certs"
	webhookConfiguration = "pac-lease-queue-hold"
)

const usualTTL = "30s"

// work returns what a replica does for users, as steps. Each step names what users would miss.
type work func(*pass) []step

type step struct {
	what string
	do   func(context.Context) error
}

// pass is one run through the work, on Repositories of its own.
type pass struct {
	*installation
	fixture.Clients
	number int
}

// prepare creates what exists before the add-on is installed.
func (in *installation) prepare(t *testing.T) {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: settings}}
	_, err := cluster.Kubernetes().CoreV1().ConfigMaps(in.namespaces[ofPAC]).Create(t.Context(), cm, metav1.CreateOptions{})
	fixture.Must(t, err)
}

// work waits until the replica, as it is, has done the work once. The error names the step that was
// not done.
func (in *installation) work(ctx context.Context, work work) error {
	ctx, stop := context.WithTimeoutCause(ctx, workDeadline, fmt.Errorf("not within %s", workDeadline))
	defer stop()
	in.passes++
	clients, err := fixture.NewClients(cluster.Config(stack.Admin))
	if err != nil {
		return err
	}
	p := &pass{installation: in, Clients: clients, number: in.passes}
	for _, s := range work(p) {
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("not done: %s: %w", s.what, err)
		}
	}
	return nil
}

// queues is the work that does not depend on the hold.
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
		{"a RunQueue is made, and shows the queue", func(ctx context.Context) error { return p.shown(ctx, shop) }},
		{"the next run is started when the previous one is done", func(ctx context.Context) error {
			if err := p.finish(ctx, first); err != nil {
				return err
			}
			return p.started(ctx, second)
		}},
		{"a deleted run frees its slot", func(ctx context.Context) error {
			if err := p.runs(ctx, shop, third); err != nil {
				return err
			}
			runs := p.Tekton.TektonV1().PipelineRuns(p.namespaces[watched])
			if err := runs.Delete(ctx, second, metav1.DeleteOptions{}); err != nil {
				return err
			}
			return p.started(ctx, third)
		}},
		{"a raised limit is used", func(ctx context.Context) error {
			if err := p.runs(ctx, shop, fourth); err != nil {
				return err
			}
			if err := p.SetLimit(ctx, p.key(shop), new(2)); err != nil {
				return err
			}
			return p.started(ctx, fourth)
		}},
		{"a lowered limit removes slots", func(ctx context.Context) error {
			if err := p.finish(ctx, fourth); err != nil {
				return err
			}
			if err := p.SetLimit(ctx, p.key(shop), new(1)); err != nil {
				return err
			}
			return p.slot(ctx, shop, 1, false)
		}},
		{"a slot whose labels were removed gets them back", func(ctx context.Context) error {
			leases, name := p.Kube.CoordinationV1().Leases(p.namespaces[watched]), lease.Name(shop, 0)
			patch := []byte(`{"metadata":{"labels":null}}`)
			if _, err := leases.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				return err
			}
			return fixture.Until(ctx, func() error {
				l, err := leases.Get(ctx, name, metav1.GetOptions{})
				if err == nil && len(l.Labels) == 0 {
					err = fmt.Errorf("Lease %s has no labels", name)
				}
				return err
			})
		}},
		{"events keep reporting what is wrong with a run", func(ctx context.Context) error {
			if err := p.runs(ctx, shop, fifth); err != nil {
				return err
			}
			return p.complaints(ctx, watched, "PipelineRun", fifth, func(wrong string) error {
				return p.AnnotateRun(ctx, p.namespaces[watched], fifth, map[string]string{pac.NotBefore: wrong})
			})
		}},
		{"a run that is labelled for a RunQueue is started", func(ctx context.Context) error {
			deploy := fmt.Sprintf("deploy-%d", p.number)
			client, err := runqueue.NewClient(cluster.Config(stack.Admin))
			if err != nil {
				return err
			}
			rq := runqueue.Of(p.key(deploy), "")
			rq.OwnerReferences, rq.Spec.Limit = nil, 1
			if _, err := client.In(p.namespaces[watched]).Create(ctx, rq, metav1.CreateOptions{}); err != nil {
				return err
			}
			pr := fixture.HeldRun(p.key(deploy), deploy, deploy)
			pr.Labels, pr.Annotations = map[string]string{pac.QueueLabel: deploy}, map[string]string{pac.HeldOrder: pac.Itself}
			if err := p.CreateRun(ctx, p.namespaces[watched], pr); err != nil {
				return err
			}
			return p.started(ctx, deploy)
		}},
		{"the limit of PAC's global Repository counts", func(ctx context.Context) error {
			if err := p.inheritedLimit(ctx); err != nil {
				return err
			}
			inherits := fmt.Sprintf("inherits-%d", p.number)
			if err := p.repository(ctx, watched, inherits, nil); err != nil {
				return err
			}
			if err := p.runs(ctx, inherits, inherits+"-1", inherits+"-2"); err != nil {
				return err
			}
			if err := p.started(ctx, inherits+"-1"); err != nil {
				return err
			}
			return p.slot(ctx, inherits, 0, true)
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
			if err := p.setting(ctx, "true"); err != nil {
				return err
			}
			// The setting is for runs of a later second, and of two runs of one second neither is
			// newer.
			if err := nextSecond(ctx); err != nil {
				return err
			}
			if err := p.runs(ctx, ci, ci+"-2"); err != nil {
				return err
			}
			return p.run(ctx, ci+"-1", "cancelled", func(pr *tektonv1.PipelineRun) bool {
				return pr.IsCancelled() || pr.IsGracefullyCancelled()
			})
		}},
		{"a change of the backend takes effect, and the leader continues", func(ctx context.Context) error {
			if err := p.configure(ctx, "backend", "memory"); err != nil {
				return err
			}
			if err := p.slot(ctx, shop, 0, false); err != nil {
				return err
			}
			if err := p.finish(ctx, third); err != nil {
				return err
			}
			// With slots in memory only the leader starts runs.
			return p.started(ctx, fifth)
		}},
		{"the change back takes effect", func(ctx context.Context) error {
			if err := p.configure(ctx, "backend", "lease"); err != nil {
				return err
			}
			return p.slot(ctx, shop, 0, true)
		}},
		{"the leader's own Lease is created anew", func(ctx context.Context) error {
			leases := p.Kube.CoordinationV1().Leases(p.namespaces[own])
			if err := leases.Delete(ctx, bucket, metav1.DeleteOptions{}); err != nil {
				return err
			}
			return fixture.Until(ctx, func() error { _, err := leases.Get(ctx, bucket, metav1.GetOptions{}); return err })
		}},
		{"events keep reporting what is wrong with the configuration", func(ctx context.Context) error {
			err := p.complaints(ctx, own, "ConfigMap", configuration, func(wrong string) error {
				return p.configure(ctx, "claim-ttl", wrong)
			})
			if err != nil {
				return err
			}
			return p.configure(ctx, "claim-ttl", usualTTL)
		}},
	}
}

// certificates is the work for the webhook.
func certificates(p *pass) []step {
	configurations := p.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	certified := func(ctx context.Context) error {
		return fixture.Until(ctx, func() error {
			c, err := configurations.Get(ctx, webhookConfiguration, metav1.GetOptions{})
			if err == nil && len(c.Webhooks[0].ClientConfig.CABundle) == 0 {
				err = fmt.Errorf("%s contains no CA bundle", webhookConfiguration)
			}
			return err
		})
	}
	return []step{
		{"the webhook's configuration gets the CA bundle", certified},
		{"the replica is ready", func(ctx context.Context) error { return p.replica().WaitReady(ctx) }},
		{"it gets the CA bundle again", func(ctx context.Context) error {
			patch := []byte(`[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":""}]`)
			if _, err := configurations.Patch(ctx, webhookConfiguration, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
				return err
			}
			return certified(ctx)
		}},
		{"a deleted certificate is created anew", func(ctx context.Context) error {
			secrets := p.Kube.CoreV1().Secrets(p.namespaces[own])
			old, err := secrets.Get(ctx, certificate, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if err := secrets.Delete(ctx, certificate, metav1.DeleteOptions{}); err != nil {
				return err
			}
			return fixture.Until(ctx, func() error {
				s, err := secrets.Get(ctx, certificate, metav1.GetOptions{})
				if err == nil && (s.UID == old.UID || len(s.Data) == 0) {
					err = fmt.Errorf("Secret %s is not complete yet", certificate)
				}
				return err
			})
		}},
	}
}

// key returns the queue of a Repository in the watched namespace.
func (p *pass) key(repository string) queue.Key {
	return queue.Key{Namespace: p.namespaces[watched], Repository: repository}
}

func (p *pass) repository(ctx context.Context, in place, name string, limit *int) error {
	return p.CreateRepository(ctx, queue.Key{Namespace: p.namespaces[in], Repository: name}, limit)
}

// inheritedLimit creates a global Repository with limit 1, a new one for every pass, so that
// replicas that may watch it notice.
func (p *pass) inheritedLimit(ctx context.Context) error {
	repositories := p.PAC.PipelinesascodeV1alpha1().Repositories(p.namespaces[ofPAC])
	if err := repositories.Delete(ctx, globalRepository, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return p.repository(ctx, ofPAC, globalRepository, new(1))
}

// runs creates the runs of one push as PAC and the hold leave them.
func (p *pass) runs(ctx context.Context, repository string, names ...string) error {
	for _, name := range names {
		pr := fixture.HeldRun(p.key(repository), name, names...)
		maps.Copy(pr.Annotations, map[string]string{
			keys.OriginalPRName: "build", keys.EventType: "push", keys.SourceBranch: "refs/heads/main",
		})
		if repository != fmt.Sprintf("ci-%d", p.number) {
			pr.Annotations[keys.CancelInProgress] = "false"
		}
		if err := p.CreateRun(ctx, p.namespaces[watched], pr); err != nil {
			return err
		}
	}
	return nil
}

// shown waits until a RunQueue shows the limit of its queue.
func (p *pass) shown(ctx context.Context, repository string) error {
	client, err := runqueue.NewClient(cluster.Config(stack.Admin))
	if err != nil {
		return err
	}
	return fixture.Until(ctx, func() error {
		rq, err := client.In(p.namespaces[watched]).Get(ctx, repository, metav1.GetOptions{})
		if err == nil && rq.Status.Limit == nil {
			err = fmt.Errorf("RunQueue %s shows no limit", repository)
		}
		return err
	})
}

func (p *pass) started(ctx context.Context, name string) error {
	return p.run(ctx, name, "started", func(pr *tektonv1.PipelineRun) bool { return pr.Spec.Status == "" })
}

// run waits until a run is in a state.
func (p *pass) run(ctx context.Context, name, state string, is func(*tektonv1.PipelineRun) bool) error {
	return fixture.Until(ctx, func() error {
		pr, err := p.Tekton.TektonV1().PipelineRuns(p.namespaces[watched]).Get(ctx, name, metav1.GetOptions{})
		if err == nil && !is(pr) {
			err = fmt.Errorf("%s is not %s", name, state)
		}
		return err
	})
}

// nextSecond waits until what is created next is of a later second than all that is there.
func nextSecond(ctx context.Context) error {
	this := time.Now().Truncate(time.Second)
	return fixture.Until(ctx, func() error {
		if !time.Now().Truncate(time.Second).After(this) {
			return errors.New("it is the same second")
		}
		return nil
	})
}

func (p *pass) finish(ctx context.Context, name string) error {
	return p.FinishRun(ctx, p.namespaces[watched], name)
}

// slot waits until the Lease of a slot exists, or does not.
func (p *pass) slot(ctx context.Context, repository string, index int, want bool) error {
	name := lease.Name(repository, index)
	return fixture.Until(ctx, func() error {
		_, err := p.Kube.CoordinationV1().Leases(p.namespaces[watched]).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && !want:
			return fmt.Errorf("Lease %s exists", name)
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

// setting sets whether PAC cancels older runs of a branch: "true" or "false".
func (p *pass) setting(ctx context.Context, cancel string) error {
	return p.patchConfigMap(ctx, ofPAC, settings, "enable-cancel-in-progress-on-push", cancel)
}

func (in *installation) patchConfigMap(ctx context.Context, where place, name, key, value string) error {
	patch, err := json.Marshal(map[string]any{"data": map[string]string{key: value}})
	if err != nil {
		return err
	}
	_, err = cluster.Kubernetes().CoreV1().ConfigMaps(in.namespaces[where]).
		Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// complaints spoils an object in so many ways, one after the other, that client-go aggregates their
// events into one, which it patches. It waits for an event about each.
func (p *pass) complaints(ctx context.Context, in place, kind, name string, spoil func(wrong string) error) error {
	for i := range 12 {
		wrong := fmt.Sprintf("wrong-%d-%02d", p.number, i)
		if err := spoil(wrong); err != nil {
			return err
		}
		err := fixture.Until(ctx, func() error {
			events, err := p.Kube.CoreV1().Events(p.namespaces[in]).List(ctx, metav1.ListOptions{
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
			return fmt.Errorf("none of %d events mentions %q", len(events.Items), wrong)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
