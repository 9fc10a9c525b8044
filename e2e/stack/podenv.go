package stack

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// onlyContainer returns the container of a pod, or says what a process cannot stand in for.
func onlyContainer(spec corev1.PodSpec) (*corev1.Container, error) {
	if len(spec.Containers) != 1 || len(spec.InitContainers) > 0 {
		return nil, fmt.Errorf("the stack runs pods of one container, this one has %d and %d init containers",
			len(spec.Containers), len(spec.InitContainers))
	}
	for _, volume := range spec.Volumes {
		if volume.EmptyDir == nil {
			return nil, fmt.Errorf("the stack mounts no volumes, the pod has %s", volume.Name)
		}
	}
	return &spec.Containers[0], nil
}

// containerEnv works a container's environment out as the kubelet does.
func (s *Stack) containerEnv(ctx context.Context, pod *corev1.Pod, container *corev1.Container) ([]string, error) {
	var env []string
	for _, from := range container.EnvFrom {
		data, err := s.envSource(ctx, pod.Namespace, from)
		if err != nil {
			return nil, err
		}
		for name, value := range data {
			env = append(env, from.Prefix+name+"="+value)
		}
	}
	for _, variable := range container.Env {
		value := expand(variable.Value, env)
		if variable.ValueFrom != nil {
			var err error
			if value, err = s.envValue(ctx, pod, variable.ValueFrom); err != nil {
				return nil, fmt.Errorf("variable %s: %w", variable.Name, err)
			}
		}
		env = append(env, variable.Name+"="+value)
	}
	return env, nil
}

// envSource reads a whole ConfigMap or Secret.
func (s *Stack) envSource(ctx context.Context, namespace string, from corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		return s.configMap(ctx, namespace, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
	case from.SecretRef != nil:
		return s.secret(ctx, namespace, from.SecretRef.Name, from.SecretRef.Optional)
	}
	return nil, nil
}

// envValue resolves one reference.
func (s *Stack) envValue(ctx context.Context, pod *corev1.Pod, from *corev1.EnvVarSource) (string, error) {
	switch {
	case from.FieldRef != nil:
		return podField(pod, from.FieldRef.FieldPath)
	case from.ConfigMapKeyRef != nil:
		data, err := s.configMap(ctx, pod.Namespace, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Optional)
		return data[from.ConfigMapKeyRef.Key], err
	case from.SecretKeyRef != nil:
		data, err := s.secret(ctx, pod.Namespace, from.SecretKeyRef.Name, from.SecretKeyRef.Optional)
		return data[from.SecretKeyRef.Key], err
	}
	return "", fmt.Errorf("the stack cannot resolve %v", from)
}

func (s *Stack) configMap(ctx context.Context, namespace, name string, optional *bool) (map[string]string, error) {
	m, err := s.kube.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	return m.Data, err
}

func (s *Stack) secret(ctx context.Context, namespace, name string, optional *bool) (map[string]string, error) {
	secret, err := s.kube.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	data := map[string]string{}
	for key, value := range secret.Data {
		data[key] = string(value)
	}
	return data, err
}

// podField resolves a field of the downward API.
func podField(pod *corev1.Pod, field string) (string, error) {
	switch field {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return "uid-of-" + pod.Name, nil
	case "spec.nodeName":
		return nodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs":
		return "127.0.0.1", nil
	}
	for prefix, values := range map[string]map[string]string{"metadata.labels": pod.Labels, "metadata.annotations": pod.Annotations} {
		if key, ok := strings.CutPrefix(field, prefix+"['"); ok {
			return values[strings.TrimSuffix(key, "']")], nil
		}
	}
	return "", fmt.Errorf("the stack does not know the field %s of a pod", field)
}

// expand replaces $(NAME) by the variable's value and $$ by a dollar sign; what is not set stays as it is.
func expand(text string, env []string) string {
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
