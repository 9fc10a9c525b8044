package chart

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

// TestEnvironmentMatchesTheProgram: the program reads from every pod of the chart what the values
// say.
func TestEnvironmentMatchesTheProgram(t *testing.T) {
	objects := render(t, older, "watchNamespaces={shop,bank}", "admission.webhook.port=10250", "probes.port=8081",
		"concurrency.release=perQueue")
	usual := config.Environment{
		Namespace: product, ConfigMap: product + "-config", Deployment: product, CheckNamespace: product, ProbesPort: 8080,
		Watched: config.Namespaces{"shop", "bank"}, Release: config.ReleaseDone,
	}
	controller, handBack := usual, usual
	controller.ProbesPort, controller.RunQueues = 8081, true
	controller.Webhook = &config.Webhook{Configuration: product + "-hold", Service: product + "-webhook", Secret: product +
		"-webhook-certs", Port: 10250}
	handBack.Hold, handBack.Guard = product+"-hold", product+"-guard"
	check := handBack
	check.CheckNamespace = "shop"
	const name = product + "/" + product
	secured := controller
	controller.Release = config.ReleasePerQueue
	secured.SecureMetrics = &config.SecureMetrics{Port: 9191, Certificate: "/etc/pac-lease-queue/metrics"}
	secure := render(t, older, "watchNamespaces={shop,bank}", "admission.webhook.port=10250", "probes.port=8081",
		"metrics.secure.enabled=true", "metrics.secure.certSecret=tls", "metrics.port=9191")
	for command, c := range map[string]struct {
		pod  corev1.PodSpec
		want config.Environment
	}{
		"controller with secure metrics": {get[*appsv1.Deployment](t, secure, "Deployment "+name).Spec.Template.Spec, secured},
		"controller":                     {get[*appsv1.Deployment](t, objects, "Deployment "+name).Spec.Template.Spec, controller},
		"hand-back":                      {get[*batchv1.Job](t, objects, "Job "+name+"-hand-back").Spec.Template.Spec, handBack},
		"check":                          {get[*corev1.Pod](t, objects, "Pod "+name+"-check").Spec, check},
	} {
		variables := map[string]string{}
		for _, v := range c.pod.Containers[0].Env {
			variables[v.Name] = v.Value
			if v.ValueFrom != nil && v.ValueFrom.FieldRef.FieldPath == "metadata.namespace" {
				variables[v.Name] = product
			}
		}
		got, err := config.ReadEnvironment(func(variable string) string { return variables[variable] })
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-values +environment):\n%s", command, err, diff)
		}
	}
}
