package stack

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// User is a user whom the API server knows by a token.
type User string

// The users of a stack.
const (
	Admin     User = "admin"     // system:masters
	Developer User = "developer" // may edit PipelineRuns, Leases and Repositories everywhere

	ControllerManagerUser User = "kube-controller-manager"
	SchedulerUser         User = "kube-scheduler"
	KwokUser              User = "kwok"
	TektonControllerUser  User = "tekton-controller"
	TektonWebhookUser     User = "tekton-webhook"
	PACControllerUser     User = "pac-controller"
	PACWatcherUser        User = "pac-watcher"
)

// Namespaces of the components.
const (
	TektonNamespace = "tekton-pipelines"
	PACNamespace    = "pipelines-as-code"
)

// DevelopersGroup is the group of Developer.
const DevelopersGroup = "developers"

// identity is what the API server knows about a user. Components are the ServiceAccounts of their
// deployment files, so that their own RBAC files apply unchanged and admission policies see the
// names of a real cluster.
type identity struct {
	name      string
	groups    []string
	namespace string // of the kubeconfig's context
}

var identities = map[User]identity{
	Admin:                 {name: "admin", groups: []string{"system:masters"}},
	Developer:             {name: "developer", groups: []string{DevelopersGroup}},
	ControllerManagerUser: {name: "system:kube-controller-manager", groups: []string{"system:masters"}},
	SchedulerUser:         {name: "system:kube-scheduler"}, // its ClusterRole is built in
	KwokUser:              serviceAccount("kube-system", "kwok-controller"),
	TektonControllerUser:  serviceAccount(TektonNamespace, "tekton-pipelines-controller"),
	TektonWebhookUser:     serviceAccount(TektonNamespace, "tekton-pipelines-webhook"),
	PACControllerUser:     serviceAccount(PACNamespace, "pipelines-as-code-controller"),
	PACWatcherUser:        serviceAccount(PACNamespace, "pipelines-as-code-watcher"),
}

func serviceAccount(namespace, name string) identity {
	return identity{
		name:      "system:serviceaccount:" + namespace + ":" + name,
		groups:    []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
		namespace: namespace,
	}
}

// Name returns the user name that the API server sees.
func (u User) Name() string { return identities[u].name }

// writeUsers creates a token and a kubeconfig file for every user, and the API server's token file.
func (s *Stack) writeUsers() error {
	s.tokens = map[User]string{}
	var file strings.Builder
	for user, id := range identities {
		s.tokens[user] = rand.Text()
		fmt.Fprintf(&file, "%s,%s,%s,%q\n", s.tokens[user], id.name, user, strings.Join(id.groups, ","))
		if err := s.writeKubeconfig(s.Kubeconfig(user), s.apiURL, s.tokens[user], id.namespace); err != nil {
			return err
		}
	}
	return os.WriteFile(s.tokenFile(), []byte(file.String()), 0o600)
}

func (s *Stack) tokenFile() string { return filepath.Join(s.dir, "tokens.csv") }

// Kubeconfig returns the path of a user's kubeconfig file.
func (s *Stack) Kubeconfig(user User) string {
	return filepath.Join(s.dir, "kubeconfig", string(user))
}

// Config returns a client configuration for a user, without client-side rate limits.
func (s *Stack) Config(user User) *rest.Config { return s.config(s.tokens[user]) }

func (s *Stack) config(token string) *rest.Config {
	return &rest.Config{
		Host:            s.apiURL,
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.ca.certificatePEM},
		QPS:             -1,
		UserAgent:       "pac-lease-queue-stack",
	}
}

func (s *Stack) writeKubeconfig(path, server, token, namespace string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	const name = "stack"
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{
			name: {Server: server, CertificateAuthorityData: s.ca.certificatePEM},
		},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name, Namespace: namespace}},
		CurrentContext: name,
	}, path)
}
