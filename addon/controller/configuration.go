package controller

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/system"
)

// ConfigMapName is the ConfigMap with the product's configuration.
func ConfigMapName() string {
	if name := os.Getenv("CONFIG_NAME"); name != "" {
		return name
	}
	return "pac-lease-queue-config"
}

// watchConfig reads the configuration, follows it, and returns the one in force.
// One that is wrong from the start is an error; a wrong change is refused with a
// Warning event, and the old one stays in force.
func watchConfig(ctx context.Context, kube kubernetes.Interface, cmw configmap.Watcher, recorder record.EventRecorder) (func() config.Config, error) {
	cm, err := kube.CoreV1().ConfigMaps(system.Namespace()).Get(ctx, ConfigMapName(), metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	first, err := config.Parse(cm.Data)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", cm.Namespace, cm.Name, err)
	}
	var current atomic.Pointer[config.Config]
	current.Store(&first)
	cmw.Watch(cm.Name, func(cm *corev1.ConfigMap) {
		next, err := config.Parse(cm.Data)
		if err != nil {
			logging.FromContext(ctx).Warnw("Configuration refused, the old one stays in force", "error", err)
			recorder.Eventf(&corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name, UID: cm.UID},
				corev1.EventTypeWarning, "ConfigurationRefused", "The old configuration stays in force: %v", err)
			return
		}
		if was := current.Swap(&next); *was != next {
			logging.FromContext(ctx).Infow("Configuration changed", "configuration", next)
		}
	})
	return func() config.Config { return *current.Load() }, nil
}
