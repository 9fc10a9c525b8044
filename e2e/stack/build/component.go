package build

import (
	"fmt"
	"path/filepath"
	"slices"
)

// Component names one program of the stack.
type Component string

// The programs that the stack knows how to build.
const (
	Etcd                  Component = "etcd"
	KubeAPIServer         Component = "kube-apiserver"
	KubeControllerManager Component = "kube-controller-manager"
	Kubectl               Component = "kubectl"
	TektonController      Component = "tekton-controller"
	TektonWebhook         Component = "tekton-webhook"
	PACController         Component = "pac-controller"
	PACWatcher            Component = "pac-watcher"
	Kwok                  Component = "kwok"
	Gitea                 Component = "gitea"
	Helm                  Component = "helm"
	Prometheus            Component = "prometheus"
	Promtool              Component = "promtool"
	Kind                  Component = "kind"
	Tofu                  Component = "tofu"
	TektonEntrypoint      Component = "tekton-entrypoint"
	TektonNop             Component = "tekton-nop"
	TektonWorkingDirInit  Component = "tekton-workingdirinit"
	PACWebhook            Component = "pac-webhook"
	OAuth2Proxy           Component = "oauth2-proxy"
)

// The modules whose versions or files others need.
const (
	ModuleKubernetes = "k8s.io/kubernetes"
	ModuleTekton     = "github.com/tektoncd/pipeline"
	ModulePAC        = "github.com/openshift-pipelines/pipelines-as-code"
	ModuleGitea      = "code.gitea.io/gitea"
	ModuleKwok       = "sigs.k8s.io/kwok"
	ModuleKind       = "sigs.k8s.io/kind"

	ModuleOAuth2Proxy = "github.com/oauth2-proxy/oauth2-proxy/v7"
)

// recipe says how one program is built. VERSION in ldflags stands for the module's version without
// its leading v, MINOR for the second number of it.
type recipe struct {
	name    Component
	family  string // folder under e2e/stack/components
	module  string // module whose version counts
	pkg     string // package below the module, "" for its root
	tags    string
	ldflags string
	cgo     bool
}

// The families of which more than one version may be pinned.
const (
	kubernetesFamily = "kubernetes"
	tektonFamily     = "tekton"
	pacFamily        = "pipelines-as-code"
)

// Without a version, knative's version check stops Tekton and PAC at start, and PAC's Gitea client
// refuses the server.
const (
	kubernetesLDFlags = "-X k8s.io/component-base/version.gitVersion=vVERSION" +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=MINOR"
	giteaLDFlags = "-X main.Version=VERSION"
	tofuLDFlags  = "-X github.com/opentofu/opentofu/version.dev=no"
)

// Prometheus is told what to scrape by a file: the clients of three dozen clouds would only be
// compiled.
const (
	modulePrometheus = "github.com/prometheus/prometheus"
	prometheusTags   = "remove_all_sd"
)

// recipes lists every program, cheapest family first: a first build shows progress early.
var recipes = []recipe{
	{name: Etcd, family: "etcd", module: "go.etcd.io/etcd/server/v3"},
	{name: KubeAPIServer, family: kubernetesFamily, module: ModuleKubernetes, pkg: "cmd/kube-apiserver", ldflags: kubernetesLDFlags},
	{
		name: KubeControllerManager, family: kubernetesFamily, module: ModuleKubernetes, pkg: "cmd/kube-controller-manager",
		ldflags: kubernetesLDFlags,
	},
	{name: TektonController, family: tektonFamily, module: ModuleTekton, pkg: "cmd/controller"},
	{name: TektonWebhook, family: tektonFamily, module: ModuleTekton, pkg: "cmd/webhook"},
	{name: PACController, family: pacFamily, module: ModulePAC, pkg: "cmd/pipelines-as-code-controller"},
	{name: PACWatcher, family: pacFamily, module: ModulePAC, pkg: "cmd/pipelines-as-code-watcher"},
	{name: Kwok, family: "kwok", module: ModuleKwok, pkg: "cmd/kwok"},
	{name: Gitea, family: "gitea", module: ModuleGitea, tags: "sqlite sqlite_unlock_notify", ldflags: giteaLDFlags, cgo: true},
	{name: Helm, family: "helm", module: "helm.sh/helm/v4", pkg: "cmd/helm"},
	{name: Kubectl, family: kubernetesFamily, module: ModuleKubernetes, pkg: "cmd/kubectl", ldflags: kubernetesLDFlags},
	{name: Prometheus, family: "prometheus", module: modulePrometheus, pkg: "cmd/prometheus", tags: prometheusTags},
	{name: Promtool, family: "prometheus", module: modulePrometheus, pkg: "cmd/promtool", tags: prometheusTags},
	{name: Kind, family: "kind", module: ModuleKind},
	{name: TektonEntrypoint, family: tektonFamily, module: ModuleTekton, pkg: "cmd/entrypoint"},
	{name: TektonNop, family: tektonFamily, module: ModuleTekton, pkg: "cmd/nop"},
	{name: TektonWorkingDirInit, family: tektonFamily, module: ModuleTekton, pkg: "cmd/workingdirinit"},
	{name: PACWebhook, family: pacFamily, module: ModulePAC, pkg: "cmd/pipelines-as-code-webhook"},
	{name: OAuth2Proxy, family: "oauth2-proxy", module: ModuleOAuth2Proxy},
	{name: Tofu, family: "opentofu", module: "github.com/opentofu/opentofu", pkg: "cmd/tofu", ldflags: tofuLDFlags},
}

// onDemand are the components that no stack needs: they are built when someone asks for them.
var onDemand = []Component{
	Kubectl, Prometheus, Promtool, OAuth2Proxy,
	Kind, Tofu, TektonEntrypoint, TektonNop, TektonWorkingDirInit, PACWebhook,
}

// All returns every component that a whole stack needs.
func All() []Component {
	var all []Component
	for _, r := range recipes {
		if !slices.Contains(onDemand, r.name) {
			all = append(all, r.name)
		}
	}
	return all
}

// fromAssets are the programs an envtest folder (KUBEBUILDER_ASSETS) may supply.
var fromAssets = []Component{Etcd, KubeAPIServer, KubeControllerManager, Kubectl}

func recipeFor(c Component) (recipe, error) {
	i := slices.IndexFunc(recipes, func(r recipe) bool { return r.name == c })
	if i < 0 {
		return recipe{}, fmt.Errorf("no recipe for component %q", c)
	}
	return recipes[i], nil
}

// familyDir is the folder of the family's wrapper modules.
func (r recipe) familyDir(root string) string {
	return filepath.Join(root, "e2e", "stack", "components", r.family)
}

// importPath is the package to build.
func (r recipe) importPath() string {
	if r.pkg == "" {
		return r.module
	}
	return r.module + "/" + r.pkg
}
