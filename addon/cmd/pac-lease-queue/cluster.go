package main

import (
	"errors"
	"fmt"
	"os"

	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// clusterConfig finds the cluster: the one that this runs in, or that of KUBECONFIG.
func clusterConfig() (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
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

// systemNamespace is where the program finds its configuration. knative, which
// wants it too, panics without it.
func systemNamespace() (string, error) {
	namespace := os.Getenv("SYSTEM_NAMESPACE")
	if namespace == "" {
		return "", errors.New("SYSTEM_NAMESPACE is not set: it must name the namespace of the controller's ConfigMaps")
	}
	return namespace, nil
}
