package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/semver"
)

func TestEveryComponentIsPinned(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]Component{}
	for _, c := range append(All(), onDemand...) {
		p, err := Versions{}.plan(root, "/cache", c)
		if err != nil {
			t.Errorf("%s: %v", c, err)
			continue
		}
		if other, taken := seen[p.path]; taken {
			t.Errorf("%s and %s are both %s", c, other, p.path)
		}
		seen[p.path] = c
		again, err := Versions{}.plan(root, "/cache", c)
		if err != nil || again.path != p.path {
			t.Errorf("%s is %s, then %s (%v)", c, p.path, again.path, err)
		}
	}
}

func TestNameCoversFlags(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Versions{}.plan(root, "/cache", Gitea)
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Join(p.flags(), " ")
	for _, want := range []string{"sqlite_unlock_notify", "main.Version=" + strings.TrimPrefix(p.version, "v")} {
		if !strings.Contains(flags, want) {
			t.Errorf("flags %q lack %s", flags, want)
		}
	}
	if strings.Contains(flags, "VERSION") {
		t.Errorf("flags %q still hold a placeholder", flags)
	}
}

// Each pinned version can be chosen, by its folder's name and by its full version, and so can the
// oldest. Without a choice, it is the one in the family's own folder.
func TestVersionsAreChosen(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	for c, choose := range map[Component]func(string) Versions{
		KubeAPIServer:    func(version string) Versions { return Versions{Kubernetes: version} },
		TektonController: func(version string) Versions { return Versions{Tekton: version} },
		PACController:    func(version string) Versions { return Versions{PAC: version} },
	} {
		t.Run(string(c), func(t *testing.T) { chosen(t, root, c, choose) })
	}
}

func chosen(t *testing.T, root string, c Component, choose func(version string) Versions) {
	r, err := recipeFor(c)
	if err != nil {
		t.Fatal(err)
	}
	all, err := readPins(root, r)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := Pinned(r.module)
	if err != nil || len(listed) != len(all) {
		t.Fatalf("pinned are %v, %v, want %d versions", listed, err, len(all))
	}
	family := filepath.Join(root, "e2e", "stack", "components", r.family)
	paths := map[string]string{}
	for i, pinned := range all {
		full := listed[i]
		if "v"+full != pinned.version {
			t.Errorf("pinned is %s, want %s", full, pinned.version)
		}
		minor := full[:strings.LastIndex(full, ".")]
		texts := []string{minor, full}
		if i == 0 {
			texts = append(texts, "")
		} else if want := filepath.Join(family, minor); pinned.dir != want {
			t.Errorf("%s is pinned in %s, want %s", pinned.version, pinned.dir, want)
		}
		if i > 1 && semver.Compare(all[i-1].version, pinned.version) >= 0 {
			t.Errorf("%s comes after %s", pinned.version, all[i-1].version)
		}
		if !slices.ContainsFunc(all, func(p pin) bool { return semver.Compare(p.version, pinned.version) < 0 }) {
			texts = append(texts, Oldest)
		}
		for _, text := range texts {
			p, err := choose(text).plan(root, "/cache", c)
			if err != nil {
				t.Errorf("version %q: %v", text, err)
				continue
			}
			if p.version != pinned.version {
				t.Errorf("version %q is %s, want %s", text, p.version, pinned.version)
			}
			if other, taken := paths[p.path]; taken && other != full {
				t.Errorf("%s and %s are both %s", full, other, p.path)
			}
			paths[p.path] = full
		}
	}
	if len(paths) != len(all) {
		t.Errorf("%d programs of %d versions", len(paths), len(all))
	}
	unknown := choose("1.")
	if p, err := unknown.plan(root, "/cache", c); err == nil {
		t.Errorf("version 1. is %s", p.version)
	} else if !strings.Contains(err.Error(), all[len(all)-1].version) {
		t.Errorf("the error %q does not say what is pinned", err)
	}
	// Other families are not affected.
	for _, other := range []Component{Etcd, Gitea, KubeAPIServer, TektonController, PACController} {
		if of, err := recipeFor(other); err != nil || of.family == r.family {
			continue
		}
		if _, err := unknown.plan(root, "/cache", other); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
}

// A program of Kubernetes says the version that is pinned.
func TestKubernetesKnowsItsVersion(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	versions, err := Pinned(ModuleKubernetes)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		p, err := Versions{Kubernetes: version}.plan(root, "/cache", KubeAPIServer)
		if err != nil {
			t.Fatal(err)
		}
		flags := strings.Join(p.flags(), " ")
		for _, want := range []string{"gitVersion=v" + version, "gitMinor=" + strings.Split(version, ".")[1]} {
			if !strings.Contains(flags+" ", want+" ") {
				t.Errorf("version %s: flags %q lack %s", version, flags, want)
			}
		}
	}
}

func TestRequiredVersion(t *testing.T) {
	const goMod = `module example.com/m
require example.com/one v1.2.3
require (
	example.com/two v0.4.0 // indirect
	example.com/two/more v9.9.9
)
`
	for module, want := range map[string]string{"example.com/one": "v1.2.3", "example.com/two": "v0.4.0"} {
		if got, err := requiredVersion([]byte(goMod), module); got != want || err != nil {
			t.Errorf("version of %s: %q, %v, want %q", module, got, err, want)
		}
	}
	if got, err := requiredVersion([]byte(goMod), "example.com/three"); err == nil {
		t.Errorf("version of a module that is not required: %q", got)
	}
}

func TestEscape(t *testing.T) {
	if got, want := escape("github.com/BurntSushi/toml"), "github.com/!burnt!sushi/toml"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAssetsAreHonoured(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", dir)
	t.Setenv("PAC_LEASE_QUEUE_CACHE", t.TempDir())
	for _, c := range []Component{Etcd, KubeAPIServer} {
		if err := os.WriteFile(filepath.Join(dir, string(c)), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	programs, err := Build(t.Context(), t.Logf, Etcd, KubeAPIServer)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := programs[KubeAPIServer], filepath.Join(dir, "kube-apiserver"); got != want {
		t.Errorf("kube-apiserver is %s, want %s", got, want)
	}
	chosen := Versions{Kubernetes: "1.30"}
	if path := chosen.asset(KubeAPIServer); path != "" {
		t.Errorf("kube-apiserver %s is %s, whose version is unknown", chosen.Kubernetes, path)
	}
	if chosen.asset(Etcd) == "" {
		t.Error("etcd is not taken from the folder when a version of Kubernetes is chosen")
	}
}

// Two who need the same program at once: one builds, the other waits; after that neither builds.
func TestBuiltOnceForAll(t *testing.T) {
	if testing.Short() {
		t.Skip("builds etcd")
	}
	t.Setenv("KUBEBUILDER_ASSETS", "")
	t.Setenv("PAC_LEASE_QUEUE_CACHE", t.TempDir())
	var built atomic.Int32
	log := func(format string, args ...any) {
		if strings.HasPrefix(format, "built") {
			built.Add(1)
		}
		t.Logf(format, args...)
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := Build(t.Context(), log, Etcd); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := built.Load(); n != 1 {
		t.Errorf("it was built %d times, want once", n)
	}
	began := time.Now()
	programs, err := Build(t.Context(), func(format string, args ...any) { t.Errorf("built again: "+format, args...) }, Etcd)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("finding a built program took %s", took)
	}
	entries, err := os.ReadDir(filepath.Dir(programs[Etcd]))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".partial") {
			t.Errorf("%s was left behind", entry.Name())
		}
	}
}
