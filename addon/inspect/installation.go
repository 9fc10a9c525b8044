package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

const (
	// Selector selects what the chart installs.
	Selector = "app.kubernetes.io/name=pac-lease-queue"
	// usualNamespace is where the documentation installs it.
	usualNamespace = "pac-lease-queue"
)

// Installation is the add-on, as one release of its chart installed it.
type Installation struct {
	Deployment appsv1.Deployment
	// ConfigMap is the name of its configuration.
	ConfigMap string
	// Config is the configuration, or the defaults if Err says what is wrong with it.
	Config config.Config
	Err    error
}

// Name is namespace/name of the Deployment.
func (i Installation) Name() string { return i.Deployment.Namespace + "/" + i.Deployment.Name }

// Namespaces are those whose queues it works on; none means all.
func (i Installation) Namespaces() []string {
	value := i.env("WATCH_NAMESPACES")
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

// Watches says whether it works on the queues of a namespace.
func (i Installation) Watches(namespace string) bool {
	watched := i.Namespaces()
	return len(watched) == 0 || slices.Contains(watched, namespace)
}

// Account is its ServiceAccount.
func (i Installation) Account() string {
	return cmp.Or(i.Deployment.Spec.Template.Spec.ServiceAccountName, "default")
}

// HoldWebhook is the MutatingWebhookConfiguration that it serves, if it does.
func (i Installation) HoldWebhook() string { return i.env("HOLD_WEBHOOK") }

// WebhookSecret is where it keeps the certificate for that.
func (i Installation) WebhookSecret() string { return i.env("WEBHOOK_SECRET") }

func (i Installation) env(name string) string {
	for _, c := range i.Deployment.Spec.Template.Spec.Containers {
		for _, e := range c.Env {
			if e.Name == name {
				return e.Value
			}
		}
	}
	return ""
}

// readInstallations finds the add-on by its labels, in all namespaces if none is given.
func (r *Reading) readInstallations(ctx context.Context, kube kubernetes.Interface, namespace string) error {
	list, err := kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: Selector})
	if apierrors.IsForbidden(err) && namespace == "" {
		namespace = usualNamespace
		r.note("You may not list Deployments in all namespaces: the add-on is looked for in namespace %s; --addon-namespace says another.", namespace)
		list, err = kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: Selector})
	}
	switch {
	case apierrors.IsForbidden(err):
		r.Hidden = true
		r.note("You may not list Deployments in namespace %s: the add-on's default configuration is assumed.", namespace)
		return nil
	case err != nil:
		return Explain(err, "Deployments", namespace)
	}
	for _, d := range list.Items {
		i := Installation{Deployment: d, Config: config.Defaults()}
		i.ConfigMap = cmp.Or(i.env("CONFIG_NAME"), "pac-lease-queue-config")
		cm, err := kube.CoreV1().ConfigMaps(d.Namespace).Get(ctx, i.ConfigMap, metav1.GetOptions{})
		switch {
		case apierrors.IsForbidden(err):
			r.note("You may not get ConfigMap %s/%s: the default configuration is assumed.", d.Namespace, i.ConfigMap)
		case apierrors.IsNotFound(err):
			i.Err = errors.New("it does not exist")
		case err != nil:
			return Explain(err, "ConfigMaps", d.Namespace)
		default:
			if c, err := config.Parse(cm.Data); err != nil {
				i.Err = err
			} else {
				i.Config = c
			}
		}
		r.Installations = append(r.Installations, i)
	}
	return nil
}

// Assumed says where the defaults stand in for a configuration, and why, and what a
// configuration keeps from being seen.
func (r *Reading) Assumed() []string {
	var all []string
	if len(r.Installations) == 0 && !r.Hidden {
		all = append(all, "The add-on is not installed, or not where it was looked for: its default configuration is assumed.")
	}
	for _, i := range r.Installations {
		if i.Err != nil {
			all = append(all, fmt.Sprintf("ConfigMap %s/%s cannot be used, the default configuration is assumed: %v", i.Deployment.Namespace, i.ConfigMap, i.Err))
		}
		if i.Config.Backend == config.BackendMemory {
			all = append(all, fmt.Sprintf("Deployment %s keeps slots in the memory of a replica: which run has which is not seen.", i.Name()))
		}
	}
	return all
}
