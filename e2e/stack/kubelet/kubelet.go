// Package kubelet works out what a kubelet would run for a pod, so that a process can stand in for
// the pod's container.
package kubelet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Container returns the only container of a pod. It fails if the pod has more, or volumes, which a
// process cannot stand in for.
func Container(spec corev1.PodSpec) (*corev1.Container, error) {
	if len(spec.Containers) != 1 || len(spec.InitContainers) > 0 {
		return nil, fmt.Errorf("the pod has %d containers and %d init containers, a process can stand in for one container",
			len(spec.Containers), len(spec.InitContainers))
	}
	for _, volume := range spec.Volumes {
		if volume.EmptyDir == nil {
			return nil, fmt.Errorf("the pod mounts volume %s, which a process cannot", volume.Name)
		}
	}
	return &spec.Containers[0], nil
}

// Env returns the environment of a pod's container. The kubelet's own part, the variables of
// Services, is left out.
func Env(ctx context.Context, kube kubernetes.Interface, pod *corev1.Pod, container *corev1.Container) ([]string, error) {
	s := sources{kube: kube, namespace: pod.Namespace}
	var env []string
	for _, from := range container.EnvFrom {
		data, err := s.all(ctx, from)
		if err != nil {
			return nil, err
		}
		for name, value := range data {
			env = append(env, from.Prefix+name+"="+value)
		}
	}
	for _, variable := range container.Env {
		value := Expand(variable.Value, env)
		if variable.ValueFrom != nil {
			var err error
			if value, err = s.value(ctx, pod, variable.ValueFrom); err != nil {
				return nil, fmt.Errorf("variable %s: %w", variable.Name, err)
			}
		}
		env = append(env, variable.Name+"="+value)
	}
	return env, nil
}

// sources reads the ConfigMaps and Secrets that variables refer to.
type sources struct {
	kube      kubernetes.Interface
	namespace string
}

// all reads a whole ConfigMap or Secret.
func (s sources) all(ctx context.Context, from corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		return s.configMap(ctx, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
	case from.SecretRef != nil:
		return s.secret(ctx, from.SecretRef.Name, from.SecretRef.Optional)
	}
	return nil, nil
}

// value resolves one reference.
func (s sources) value(ctx context.Context, pod *corev1.Pod, from *corev1.EnvVarSource) (string, error) {
	switch {
	case from.FieldRef != nil:
		return field(pod, from.FieldRef.FieldPath)
	case from.ConfigMapKeyRef != nil:
		data, err := s.configMap(ctx, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Optional)
		return data[from.ConfigMapKeyRef.Key], err
	case from.SecretKeyRef != nil:
		data, err := s.secret(ctx, from.SecretKeyRef.Name, from.SecretKeyRef.Optional)
		return data[from.SecretKeyRef.Key], err
	}
	return "", fmt.Errorf("unsupported source %v", from)
}

func (s sources) configMap(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	m, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	return m.Data, err
}

func (s sources) secret(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	secret, err := s.kube.CoreV1().Secrets(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	data := map[string]string{}
	for key, value := range secret.Data {
		data[key] = string(value)
	}
	return data, err
}

// field resolves a field of the downward API.
func field(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return "uid-of-" + pod.Name, nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs":
		return "127.0.0.1", nil
	}
	for prefix, values := range map[string]map[string]string{"metadata.labels": pod.Labels, "metadata.annotations": pod.Annotations} {
		if key, ok := strings.CutPrefix(path, prefix+"['"); ok {
			return values[strings.TrimSuffix(key, "']")], nil
		}
	}
	return "", fmt.Errorf("unsupported field %s", path)
}

// Expand replaces $(NAME) by the variable's value and $$ by a dollar sign. A reference to a
// variable that is not set stays as it is.
func Expand(text string, env []string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, rest, reference := strings.Cut(strings.TrimPrefix(after, "("), ")")
		switch {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "(") && reference && isSet(env, name):
			b.WriteString(lookup(env, name))
			text = rest
		default:
			b.WriteByte('$')
			text = after
		}
	}
}

func isSet(env []string, name string) bool {
	return slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
}

// lookup returns the last value of a variable.
func lookup(env []string, name string) (value string) {
	for _, variable := range env {
		if v, ok := strings.CutPrefix(variable, name+"="); ok {
			value = v
		}
	}
	return value
}
