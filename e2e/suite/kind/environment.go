package kind

import (
	"fmt"
	"strconv"
)

// ExistingCluster is the environment variable with the kubeconfig of a cluster to use instead of a
// new one.
const ExistingCluster = "EXISTING_KUBECONFIG"

// Variables returns Terraform's variables by the environment variables that make sets for them.
func Variables(env func(string) string) (map[string]any, error) {
	all := map[string]any{}
	for name, variable := range map[string]string{
		"CLUSTER":            "cluster_name",
		"BACKEND":            "backend",
		"HOLD":               "hold",
		"KUBERNETES_VERSION": "kubernetes_version",
		"GIT_PROVIDER":       "git_provider",
		ExistingCluster:      "existing_kubeconfig",
	} {
		if value := env(name); value != "" {
			all[variable] = value
		}
	}
	for name, variable := range map[string]string{"REPLICAS": "replicas", "WATCHERS": "watchers", "GITEA_PORT": "gitea_port"} {
		if value := env(name); value != "" {
			n, err := strconv.Atoi(value)
			if err != nil {
				return nil, fmt.Errorf("%s=%s is not a number", name, value)
			}
			all[variable] = n
		}
	}
	return all, nil
}
