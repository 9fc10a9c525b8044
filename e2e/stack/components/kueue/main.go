// Command kueue is Kueue for PipelineRuns: Kueue's own scheduler, caches, controllers and job
// framework, in one process, without its webhooks. The job for PipelineRuns is a stand-in for
// tekton-kueue, which no module proxy has: it reserves one unit of tekton.dev/pipelineruns for a
// run, starts an admitted run by clearing spec.status, and stops one that runs without admission.
package main

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	configapi "sigs.k8s.io/kueue/apis/config/v1beta2"
	kueue "sigs.k8s.io/kueue/apis/kueue/v1beta2"
	qcache "sigs.k8s.io/kueue/pkg/cache/queue"
	schdcache "sigs.k8s.io/kueue/pkg/cache/scheduler"
	"sigs.k8s.io/kueue/pkg/constants"
	"sigs.k8s.io/kueue/pkg/controller/core"
	"sigs.k8s.io/kueue/pkg/controller/core/indexer"
	"sigs.k8s.io/kueue/pkg/controller/jobframework"
	tasindexer "sigs.k8s.io/kueue/pkg/controller/tas/indexer"
	"sigs.k8s.io/kueue/pkg/podset"
	"sigs.k8s.io/kueue/pkg/scheduler"
	preemptexpectations "sigs.k8s.io/kueue/pkg/scheduler/preemption/expectations"
)

var kind = schema.GroupVersionKind{Group: "tekton.dev", Version: "v1", Kind: "PipelineRun"}

func main() {
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(kueue.AddToScheme(scheme))
	utilruntime.Must(configapi.AddToScheme(scheme))
	cfg := &configapi.Configuration{}
	scheme.Default(cfg)

	kubeConfig, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	kubeConfig.QPS = -1
	mgr, err := ctrl.NewManager(kubeConfig, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
	})
	if err != nil {
		return err
	}
	for _, setup := range []func(context.Context, client.FieldIndexer) error{
		indexer.Setup,
		tasindexer.SetupIndexes,
		func(ctx context.Context, i client.FieldIndexer) error {
			return jobframework.SetupWorkloadOwnerIndex(ctx, i, kind)
		},
	} {
		if err := setup(ctx, mgr.GetFieldIndexer()); err != nil {
			return err
		}
	}

	slots := schdcache.New(mgr.GetClient())
	requeuer, expectations := qcache.NewRequeuer(), preemptexpectations.New()
	if err := mgr.Add(requeuer); err != nil {
		return err
	}
	queues := qcache.NewManager(mgr.GetClient(), slots, requeuer, qcache.WithPreemptionExpectations(expectations))
	if failed, err := core.SetupControllers(mgr, queues, slots, cfg, nil, expectations, nil); err != nil {
		return fmt.Errorf("controller %s: %w", failed, err)
	}
	go queues.CleanUpOnContext(ctx)
	go slots.CleanUpOnContext(ctx)
	if err := mgr.Add(scheduler.New(queues, slots, mgr.GetClient(), mgr.GetEventRecorderFor(constants.AdmissionName),
		scheduler.WithPreemptionExpectations(expectations))); err != nil {
		return err
	}

	newReconciler := jobframework.NewGenericReconcilerFactory(func() jobframework.GenericJob { return newPipelineRun() })
	reconciler, err := newReconciler(ctx, mgr.GetClient(), mgr.GetFieldIndexer(), mgr.GetEventRecorderFor("kueue-plr"))
	if err != nil {
		return err
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// pipelineRun is a PipelineRun as Kueue sees it.
type pipelineRun struct{ object unstructured.Unstructured }

var (
	_ jobframework.GenericJob        = &pipelineRun{}
	_ jobframework.JobWithCustomStop = &pipelineRun{}
)

func newPipelineRun() *pipelineRun {
	p := &pipelineRun{}
	p.object.SetGroupVersionKind(kind)
	return p
}

// The values of spec.status that concern Kueue.
const (
	pending = "PipelineRunPending"
	stopped = "StoppedRunFinally"
)

func (p *pipelineRun) status() string {
	status, _, _ := unstructured.NestedString(p.object.Object, "spec", "status")
	return status
}

// condition is the condition Succeeded.
func (p *pipelineRun) condition() map[string]any {
	conditions, _, _ := unstructured.NestedSlice(p.object.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Succeeded" {
			return c
		}
	}
	return nil
}

func (p *pipelineRun) Object() client.Object        { return &p.object }
func (p *pipelineRun) GVK() schema.GroupVersionKind { return kind }
func (p *pipelineRun) IsSuspended() bool            { return p.status() == pending }

func (p *pipelineRun) IsActive() bool {
	_, started, _ := unstructured.NestedString(p.object.Object, "status", "startTime")
	return started
}

func (p *pipelineRun) Finished(context.Context) (message string, success, finished bool) {
	c := p.condition()
	message, _ = c["message"].(string)
	return message, c["status"] == "True", c["status"] == "True" || c["status"] == "False"
}

func (p *pipelineRun) PodSets(context.Context) ([]kueue.PodSet, error) {
	return []kueue.PodSet{{
		Name: "pod-set-1", Count: 1,
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "dummy", Image: "dummy",
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"tekton.dev/pipelineruns": resource.MustParse("1")},
			},
		}}}},
	}}, nil
}

func (p *pipelineRun) RunWithPodSetsInfo(context.Context, []podset.PodSetInfo) error {
	unstructured.RemoveNestedField(p.object.Object, "spec", "status")
	return nil
}

// Stop stops a run that may run, and one that waits for admission as well.
func (p *pipelineRun) Stop(
	ctx context.Context, c client.Client, _ []podset.PodSetInfo, _ jobframework.StopReason, _ string,
) (bool, error) {
	_, _, finished := p.Finished(ctx)
	if finished || p.status() != "" && p.status() != pending {
		return false, nil
	}
	was := p.object.DeepCopy()
	if err := unstructured.SetNestedField(p.object.Object, stopped, "spec", "status"); err != nil {
		return false, err
	}
	return true, c.Patch(ctx, &p.object, client.MergeFrom(was))
}

// What the job framework does not ask of a job that stops itself and whose pods it does not know.
func (p *pipelineRun) Suspend()                                    {}
func (p *pipelineRun) RestorePodSetsInfo([]podset.PodSetInfo) bool { return false }
func (p *pipelineRun) PodsReady(context.Context) bool              { return false }
