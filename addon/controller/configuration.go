package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
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

// vitalPause separates looks at a configuration that a replica cannot start with.
const vitalPause = time.Second

// watchConfiguration reads the configuration and follows it. Whatever is wrong with it is a Warning
// event, and never ends the process. At the start, the default stands in for a setting that cannot
// be used, unless that is vital: then the replica waits for a usable one, since the others may work
// by the one before. During a hand-back it need not wait, because nothing is started. Later, the
// old configuration stays in force, but hand-back is always heard.
func watchConfiguration(
	ctx context.Context,
	kube kubernetes.Interface,
	env config.Environment,
	cmw configmap.Watcher,
	recorder event.Sink,
) (*configuration, error) {
	f := &follower{logger: logging.FromContext(ctx), recorder: recorder, live: &configuration{}}
	var cm *corev1.ConfigMap
	err := wait.PollUntilContextCancel(ctx, vitalPause, true, func(ctx context.Context) (bool, error) {
		var err error
		if cm, err = kube.CoreV1().ConfigMaps(env.Namespace).Get(ctx, env.ConfigMap, metav1.GetOptions{}); err != nil {
			return false, fmt.Errorf("read the configuration: %w", err)
		}
		return f.first(cm), nil
	})
	if err != nil {
		return nil, err
	}
	cmw.Watch(cm.Name, f.next)
	return f.live, nil
}

// follower puts in force what a ConfigMap says.
type follower struct {
	logger   *zap.SugaredLogger
	recorder event.Sink
	live     *configuration
	// seen is the version of the ConfigMap that was read last.
	seen string
	// vital says that the vital settings in force were read, and are not defaults.
	vital bool
}

// first says whether a replica can start with the ConfigMap, and puts it in force.
func (f *follower) first(cm *corev1.ConfigMap) bool {
	r := config.Read(cm.Data)
	f.vital = r.Vital == nil
	starts := f.vital || r.Config.HandBack
	switch {
	case !starts:
		f.report(cm, r, fmt.Sprintf("This replica does not start its work until these settings can be used: %v", r.Vital))
	case r.Wrong != nil:
		f.report(cm, r, fmt.Sprintf("This replica starts with the default of each setting that cannot be used: %v", r.Wrong))
	default:
		f.report(cm, r, "")
	}
	if starts {
		f.live.set(r.Config)
	}
	return starts
}

// next follows a change of the ConfigMap.
func (f *follower) next(cm *corev1.ConfigMap) {
	r, was := config.Read(cm.Data), f.live.Get()
	next := r.After(was)
	if !f.vital && r.Vital != nil {
		next.HandBack = true // the vital settings in force are no more than defaults
	}
	f.vital = f.vital || r.Vital == nil
	if r.Wrong != nil {
		f.report(cm, r, fmt.Sprintf("The old configuration stays in force, with hand-back %t: %v", next.HandBack, r.Wrong))
	} else {
		f.report(cm, r, "")
	}
	if !f.live.set(next) {
		return
	}
	if next.Backend != was.Backend {
		f.recorder.Record(on(cm, event.ReasonBackendChanged,
			fmt.Sprintf("Slots are kept by the backend %s now; it was %s.", next.Backend, was.Backend)))
	}
	f.logger.Infow("Configuration changed", "configuration", next)
}

// report warns of what is wrong with a version of the ConfigMap, once.
func (f *follower) report(cm *corev1.ConfigMap, r config.Reading, refusal string) {
	if f.seen == cm.ResourceVersion && f.seen != "" {
		return
	}
	f.seen = cm.ResourceVersion
	if refusal != "" {
		f.warn(cm, event.ReasonConfigurationRefused, refusal)
	}
	if len(r.Unknown) > 0 {
		f.warn(cm, event.ReasonUnknownSetting, fmt.Sprintf("This version does not have these settings, and ignores them: %s. "+
			"There are %s.", strings.Join(r.Unknown, ", "), strings.Join(config.Settings(), ", ")))
	}
}

// warn logs a message and makes a Warning event of it on the ConfigMap.
func (f *follower) warn(cm *corev1.ConfigMap, reason event.Reason, message string) {
	f.logger.Warnw(message, "configMap", cm.Namespace+"/"+cm.Name)
	f.recorder.Record(warningOn(cm, reason, message))
}

func on(cm *corev1.ConfigMap, reason event.Reason, message string) event.Event {
	return event.Event{
		Kind: event.ConfigMap, Key: queue.Key{Namespace: cm.Namespace}, Name: cm.Name, UID: string(cm.UID), Reason: reason,
		Message: message,
	}
}

func warningOn(cm *corev1.ConfigMap, reason event.Reason, message string) event.Event {
	e := on(cm, reason, message)
	e.Warning = true
	return e
}
