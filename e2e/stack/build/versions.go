package build

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Versions chooses versions of families of components. The zero value means the default of each.
//
// A family's folder is the wrapper module of its default version. Those of other versions are in
// folders below it.
type Versions struct {
	// Kubernetes is one of the pinned versions of kube-apiserver, kube-controller-manager and
	// kubectl, e.g. "1.30".
	Kubernetes string
}

// AddFlags adds a flag for each family.
func (v *Versions) AddFlags(flags *flag.FlagSet) {
	flags.StringVar(&v.Kubernetes, "kubernetes", v.Kubernetes, "version of Kubernetes, e.g. 1.30; without it, the default")
}

// of returns the version that is chosen for a family, or "".
func (v Versions) of(family string) string {
	if family == kubernetesFamily {
		return v.Kubernetes
	}
	return ""
}

// pin is a wrapper module and the version of the wrapped module that it requires.
type pin struct {
	dir     string
	goMod   []byte
	version string
}

// is says whether the pinned version is the wanted one, of which later numbers may be left out.
func (p pin) is(wanted string) bool {
	return strings.HasPrefix(p.version+".", "v"+wanted+".")
}

// choose finds the wrapper module of the chosen version.
func (v Versions) choose(root string, r recipe) (pin, error) {
	pins, err := readPins(root, r)
	if err != nil {
		return pin{}, err
	}
	wanted := v.of(r.family)
	if wanted == "" {
		return pins[0], nil
	}
	var versions []string
	for _, p := range pins {
		if p.is(wanted) {
			return p, nil
		}
		versions = append(versions, p.version)
	}
	return pin{}, fmt.Errorf("version %s of %s is not pinned in e2e/stack/components/%s, only %s",
		wanted, r.module, r.family, strings.Join(versions, ", "))
}

// readPins reads all wrapper modules of a family, the default first.
func readPins(root string, r recipe) ([]pin, error) {
	family := filepath.Join(root, "e2e", "stack", "components", r.family)
	files, err := filepath.Glob(filepath.Join(family, "*", "go.mod"))
	if err != nil {
		return nil, err
	}
	var pins []pin
	for _, file := range append([]string{filepath.Join(family, "go.mod")}, files...) {
		p := pin{dir: filepath.Dir(file)}
		if p.goMod, err = os.ReadFile(file); err != nil {
			return nil, err
		}
		if p.version, err = requiredVersion(p.goMod, r.module); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		pins = append(pins, p)
	}
	return pins, nil
}
