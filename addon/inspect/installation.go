package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

// Installation is the add-on, as one release of its chart installed it.
type Installation struct {
	Deployment appsv1.Deployment
	// Environment is what its replicas are told. They do not start if EnvironmentErr says that it
	// cannot be used.
	Environment    config.Environment
	EnvironmentErr error
	// Config is the configuration, with defaults for settings that ConfigErr says cannot be used.
	Config    config.Config
	ConfigErr error
	// VitalErr is the part of ConfigErr that keeps replicas from starting.
	VitalErr error
	// Unknown are settings that have no effect.
	Unknown []string
}

// Name is namespace/name of the Deployment.
func (i Installation) Name() string { return i.Deployment.Namespace + "/" + i.Deployment.Name }

// Account is its ServiceAccount.
func (i Installation) Account() string {
	return cmp.Or(i.Deployment.Spec.Template.Spec.ServiceAccountName, "default")
}

// environment reads what the chart tells the replicas of a Deployment.
func environment(d *appsv1.Deployment) (config.Environment, error) {
	variables := map[string]string{config.EnvNamespace: d.Namespace} // which Kubernetes fills in
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, e := range c.Env {
			if e.ValueFrom == nil {
				variables[e.Name] = e.Value
			}
		}
	}
	return config.ReadEnvironment(func(variable string) string { return variables[variable] })
}

// ReadConfig reads the configuration. A ConfigMap that is missing or cannot be used is a
// ConfigErr; the error returned is the API server's.
func (i *Installation) ReadConfig(ctx context.Context, kube kubernetes.Interface) error {
	cm, err := kube.CoreV1().ConfigMaps(i.Deployment.Namespace).Get(ctx, i.Environment.ConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		i.ConfigErr = errors.New("it does not exist")
		i.VitalErr = i.ConfigErr
		return nil
	}
	if err != nil {
		return err
	}
	r := config.Read(cm.Data)
	i.Config, i.ConfigErr, i.VitalErr, i.Unknown = r.Config, r.Wrong, r.Vital, r.Unknown
	return nil
}

// ReadInstallations finds the add-on, as far as the user may see it.
func ReadInstallations(ctx context.Context, kube kubernetes.Interface, namespace string) ([]Installation, error) {
	var s Settings
	err := s.readInstallations(ctx, kube, namespace)
	return s.Installations, err
}

// readInstallations finds the add-on by its labels, in all namespaces if none is given.
func (s *Settings) readInstallations(ctx context.Context, kube kubernetes.Interface, namespace string) error {
	list, err := kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: config.Selector})
	if apierrors.IsForbidden(err) && namespace == "" {
		namespace = config.DefaultNamespace
		s.assume("You may not list Deployments in all namespaces: the add-on is looked for in namespace %s only; set "+
			"--addon-namespace if it is elsewhere.", namespace)
		list, err = kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: config.Selector})
	}
	switch {
	case apierrors.IsForbidden(err):
		s.Hidden = true
		s.assume("You may not list Deployments in namespace %s: the add-on's default configuration is assumed.", namespace)
		return nil
	case err != nil:
		return Explain(err, "Deployments", namespace)
	}
	for _, d := range list.Items {
		i := Installation{Deployment: d, Config: config.Defaults()}
		i.Environment, i.EnvironmentErr = environment(&d)
		err := i.ReadConfig(ctx, kube)
		switch {
		case apierrors.IsForbidden(err):
			s.assume("You may not get ConfigMap %s/%s: the default configuration is assumed.", d.Namespace, i.Environment.ConfigMap)
		case err != nil:
			return Explain(err, "ConfigMaps", d.Namespace)
		}
		s.Installations = append(s.Installations, i)
	}
	return nil
}

// Assumed says which configurations are assumed to be the default, and why, and what cannot be
// seen. What the RunQueues tell is not assumed.
func (r *Reading) Assumed() []string {
	var all []string
	if !r.told() {
		all = append(all, r.assumptions...)
	}
	if len(r.Installations) == 0 && !r.Hidden {
		all = append(all, "The add-on was not found: its default configuration is assumed.")
	}
	for _, i := range r.Installations {
		if i.ConfigErr != nil {
			all = append(all, fmt.Sprintf("ConfigMap %s/%s has settings that cannot be used, their defaults are assumed: %v",
				i.Deployment.Namespace, i.Environment.ConfigMap, i.ConfigErr))
		}
		if i.Config.Backend == store.Memory {
			all = append(all, fmt.Sprintf("Deployment %s keeps slots in the memory of a replica, which this command cannot see.",
				i.Name()))
		}
	}
	return all
}
