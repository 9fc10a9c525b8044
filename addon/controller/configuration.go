package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// changeover is how long a replica does nothing after the backend or the owner of
// the queues has changed. By the end of it every replica that can reach the API
// server has heard of the change too, and what it still had under way before shows
// in the runs: two backends do not see each other's claims, and neither does PAC.
const changeover = 2 * time.Second

// configuration is the one in force. It is safe for concurrent use.
type configuration struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	current config.Config
	rests   time.Time // until when nothing is to be done
	changed func()
}

// Get returns the configuration in force.
func (c *configuration) Get() config.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// Rest is how long nothing is to be done yet, because the slots are moving.
func (c *configuration) Rest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.rests.Sub(c.clock.Now()))
}

// OnChange has the function called after every change from now on.
func (c *configuration) OnChange(f func()) {
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
	if c.current.Backend != next.Backend || c.current.HandBack != next.HandBack {
		c.rests = c.clock.Now().Add(changeover)
	}
	c.current = next
	changed := c.changed
	c.mu.Unlock()
	if changed != nil {
		changed()
	}
	return true
}

// watchConfiguration reads the configuration and follows it. One that is wrong
// from the start is an error; a wrong change is refused with a Warning event, and
// the old one stays in force.
func watchConfiguration(ctx context.Context, kube kubernetes.Interface, env config.Environment, cmw configmap.Watcher, recorder record.EventRecorder, clk clock.PassiveClock) (*configuration, error) {
	cm, err := kube.CoreV1().ConfigMaps(env.Namespace).Get(ctx, env.ConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	first, err := config.Parse(cm.Data)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", cm.Namespace, cm.Name, err)
	}
	live := &configuration{clock: clk, current: first}
	cmw.Watch(cm.Name, func(cm *corev1.ConfigMap) {
		on := &corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name, UID: cm.UID}
		next, err := config.Parse(cm.Data)
		if err != nil {
			logging.FromContext(ctx).Warnw("Configuration refused, the old one stays in force", "error", err)
			recorder.Eventf(on, corev1.EventTypeWarning, string(report.ReasonConfigurationRefused), "The old configuration stays in force: %v", err)
			return
		}
		was := live.Get().Backend
		if live.set(next) {
			if next.Backend != was {
				recorder.Eventf(on, corev1.EventTypeNormal, string(report.ReasonBackendChanged), "Slots are kept by the backend %s now; it was %s.", next.Backend, was)
			}
			logging.FromContext(ctx).Infow("Configuration changed", "configuration", next)
		}
	})
	return live, nil
}
