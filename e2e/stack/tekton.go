package stack

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/manifests"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// tektonWebhookService is the Service through which the API server calls Tekton's webhook: an alias
// of localhost.
const tektonWebhookService = `
apiVersion: v1
kind: Service
metadata: {name: tekton-pipelines-webhook, namespace: ` + TektonNamespace + `}
spec: {type: ExternalName, externalName: localhost}
`

// tektonManifests returns the objects of Tekton's own files. Their webhooks call webhookPort on
// loopback; with port 0 they are left out.
func (s *Stack) tektonManifests(ctx context.Context, webhookPort int) ([]*object, error) {
	dir, err := s.opts.Versions.ModuleDir(ctx, build.ModuleTekton)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config")
	objects, err := manifests.Read(config,
		"100-namespace/*.yaml", "200-*.yaml", "201-*.yaml", "300-crds/*.yaml", "clusterrole-*.yaml", "config-*.yaml")
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if _, found, _ := unstructured.NestedMap(o.Object, "spec", "conversion", "webhook"); !found {
			continue
		}
		if webhookPort == 0 {
			manifests.Set(o, map[string]any{"strategy": "None"}, "spec", "conversion")
		} else {
			manifests.Set(o, int64(webhookPort), "spec", "conversion", "webhook", "clientConfig", "service", "port")
		}
	}
	if webhookPort == 0 {
		return objects, nil
	}
	webhooks, err := manifests.Read(config, "500-webhooks.yaml")
	if err != nil {
		return nil, err
	}
	for _, o := range webhooks {
		list, found, _ := unstructured.NestedSlice(o.Object, "webhooks")
		if !found {
			continue // the Secret
		}
		for _, w := range list {
			manifests.Set(&object{Object: w.(map[string]any)}, int64(webhookPort), "clientConfig", "service", "port")
		}
		manifests.Set(o, list, "webhooks")
	}
	service, err := manifests.Parse(tektonWebhookService)
	if err != nil {
		return nil, err
	}
	return append(append(objects, webhooks...), service...), nil
}

// knativePorts takes the ports that every knative program listens on and returns the variables that
// set them.
func (s *Stack) knativePorts() (env []string, err error) {
	ports, err := s.takePorts(2)
	if err != nil {
		return nil, err
	}
	return []string{
		"METRICS_PROMETHEUS_PORT=" + strconv.Itoa(ports[0]),
		"METRICS_PROMETHEUS_HOST=127.0.0.1",
		"PROFILING_PORT=" + strconv.Itoa(ports[1]),
		"KUBERNETES_MIN_VERSION=v1.28.0",
	}, nil
}

// tektonProcess adds one of Tekton's two programs to the stack.
func (s *Stack) tektonProcess(name string, program build.Component, user User, spec process.Spec) (*process.Process, error) {
	ports, err := s.takePorts(1)
	if err != nil {
		return nil, err
	}
	env, err := s.knativePorts()
	if err != nil {
		return nil, err
	}
	spec.Name, spec.Path = name, s.programs[program]
	spec.ReadyWithin = tektonDeadline
	spec.Env = append(append(env,
		"KUBECONFIG="+s.Kubeconfig(user),
		"SYSTEM_NAMESPACE="+TektonNamespace,
		"PROBES_PORT="+strconv.Itoa(ports[0]),
		"CONFIG_DEFAULTS_NAME=config-defaults",
		"CONFIG_LOGGING_NAME=config-logging",
		"CONFIG_OBSERVABILITY_NAME=config-observability",
		"CONFIG_FEATURE_FLAGS_NAME=feature-flags",
		"CONFIG_SPIRE=config-spire",
		"METRICS_DOMAIN=tekton.dev/pipeline",
	), spec.Env...)
	if spec.Ready == nil {
		spec.Ready = probe(s.http, loopback("http", ports[0])+"/readiness")
	}
	return s.add(spec), nil
}

func (s *Stack) startTektonController(ctx context.Context) error {
	p, err := s.tektonProcess("tekton-controller", build.TektonController, TektonControllerUser, process.Spec{
		Env: []string{"CONFIG_LEADERELECTION_NAME=config-leader-election-controller"},
		Args: []string{
			"-entrypoint-image=entrypoint", "-nop-image=nop", "-sidecarlogresults-image=sidecarlogresults",
			"-workingdirinit-image=workingdirinit", "-shell-image=shell", "-shell-image-win=shell-win",
			// A single controller needs no leader election and works at once after a restart. The
			// higher limits keep it from being the bottleneck.
			"-disable-ha", "-kube-api-qps=50", "-kube-api-burst=100",
		},
	})
	if err != nil {
		return err
	}
	return s.startUp(ctx, p)
}

// startTektonWebhook starts the webhook and waits until the API server can call it: first the
// webhook creates its certificate and registers it.
func (s *Stack) startTektonWebhook(ctx context.Context, port int) error {
	p, err := s.tektonProcess("tekton-webhook", build.TektonWebhook, TektonWebhookUser, process.Spec{
		Args: []string{"-disable-ha"},
		Env: []string{
			"CONFIG_LEADERELECTION_NAME=config-leader-election-webhook",
			"WEBHOOK_SERVICE_NAME=tekton-pipelines-webhook",
			"WEBHOOK_SECRET_NAME=webhook-certs",
			"WEBHOOK_ADMISSION_CONTROLLER_NAME=webhook.pipeline.tekton.dev",
			"WEBHOOK_PORT=" + strconv.Itoa(port),
		},
		Ready:  s.tektonAdmits,
		Abrupt: true,
	})
	if err != nil {
		return err
	}
	return s.startUp(ctx, p)
}

var pipelineRunResource = schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}

// tektonAdmits creates a PipelineRun by a dry run, to which the webhook must add the default
// timeout.
func (s *Stack) tektonAdmits(ctx context.Context) error {
	run, err := manifests.Parse(`
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: admission-check, namespace: default}
spec: {pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{name: s, image: i}]}}]}}
`)
	if err != nil {
		return err
	}
	created, err := s.dynamic.Resource(pipelineRunResource).Namespace("default").
		Create(ctx, run[0], metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	if _, found, _ := unstructured.NestedString(created.Object, "spec", "timeouts", "pipeline"); !found {
		return errors.New("the defaulting webhook is not registered yet")
	}
	return nil
}
