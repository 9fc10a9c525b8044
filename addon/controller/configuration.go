package controller

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/replica"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
)

// configuration is the one in force. It is safe for concurrent use.
type configuration struct {
	mu      sync.Mutex
	current config.Config
	changed func(config.Config)
}

// Get returns the configuration in force.
func (c *configuration) Get() config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// Follow has the function called with every configuration that comes into force from now on.
func (c *configuration) Follow(f func(config.Config)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = f
}

// set puts a configuration in force and says whether it is another one.
func (c *configuration) set(next config.Config) bool {
	c.mu.Lock()
	if c.current == next {
		c.mu.Unlock()
		return false
	}
	c.current = next
	changed := c.changed
	c.mu.Unlock()
	if changed != nil {
		changed(next)
	}
	return true
}

// settings are what of the configuration the replica itself works by.
func settings(c config.Config) replica.Settings {
	return replica.Settings{Backend: c.Backend, HandBack: c.HandBack, Recovery: c.Recovery}
}

// watchConfiguration reads the configuration and follows it. One that is wrong
// from the start is an error; a wrong change is refused with a Warning event, and
// the old one stays in force.
func watchConfiguration(
	ctx context.Context,
	kube kubernetes.Interface,
	env config.Environment,
	cmw configmap.Watcher,
	recorder record.EventRecorder,
) (*configuration, error) {
	cm, err := kube.CoreV1().ConfigMaps(env.Namespace).Get(ctx, env.ConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	first, err := config.Parse(cm.Data)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", cm.Namespace, cm.Name, err)
	}
	live := &configuration{current: first}
	cmw.Watch(cm.Name, func(cm *corev1.ConfigMap) {
		on := &corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name, UID: cm.UID}
		next, err := config.Parse(cm.Data)
		if err != nil {
			logging.FromContext(ctx).Warnw("Configuration refused, the old one stays in force", "error", err)
			recorder.Eventf(
				on,
				corev1.EventTypeWarning,
				string(event.ReasonConfigurationRefused),
				"The old configuration stays in force: %v",
				err,
			)
			return
		}
		was := live.Get().Backend
		if live.set(next) {
			if next.Backend != was {
				recorder.Eventf(
					on,
					corev1.EventTypeNormal,
					string(event.ReasonBackendChanged),
					"Slots are kept by the backend %s now; it was %s.",
					next.Backend,
					was,
				)
			}
			logging.FromContext(ctx).Infow("Configuration changed", "configuration", next)
		}
	})
	return live, nil
}
