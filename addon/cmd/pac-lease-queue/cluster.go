package main

import (
	"context"
	"fmt"
	"time"

	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

// clusterConfig finds the cluster: that of KUBECONFIG, or the one that the process runs in.
func clusterConfig() (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(),
		nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	return config, nil
}

func clusterClients() (kubernetes.Interface, tektonclient.Interface, error) {
	config, err := clusterConfig()
	if err != nil {
		return nil, nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("kubernetes client: %w", err)
	}
	tekton, err := tektonclient.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("tekton client: %w", err)
	}
	return kube, tekton, nil
}

// Reads of the configuration before anything else.
const (
	configurationTry   = 10 * time.Second // at most, for each
	configurationPause = time.Second
	// An API server that has just come up refuses everybody until it has read its roles.
	configurationRefused = 20 * time.Second
)

// awaitConfiguration returns once the configuration can be read, or with an error if the API
// server has none, or refuses that for configurationRefused. knative reads ConfigMaps first and
// ends the process without a reason if that takes five seconds.
func awaitConfiguration(ctx context.Context, rest *rest.Config, env config.Environment) error {
	kube, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("kubernetes client: %w", err)
	}
	told, allowed := "", time.Now()
	return wait.PollUntilContextCancel(ctx, configurationPause, true, func(ctx context.Context) (bool, error) {
		ctx, stop := context.WithTimeout(ctx, configurationTry)
		defer stop()
		_, err := kube.CoreV1().ConfigMaps(env.Namespace).Get(ctx, env.ConfigMap, metav1.GetOptions{})
		if err == nil {
			return true, nil
		}
		err = fmt.Errorf("read the configuration: %w", err)
		switch {
		case apierrors.IsNotFound(err):
			return false, err
		case !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err):
			allowed = time.Now() // no refusal: those before do not count
		case time.Since(allowed) >= configurationRefused:
			return false, err
		}
		if err.Error() != told {
			told = err.Error()
			logging.FromContext(ctx).Warnw("Waiting for the API server", "error", err)
		}
		return false, nil
	})
}
