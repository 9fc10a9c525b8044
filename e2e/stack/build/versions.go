package build

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// Versions chooses versions of families of components. The zero value means the default of each.
//
// A family's folder is the wrapper module of its default version. Those of other versions are in
// folders below it.
type Versions struct {
	// Kubernetes is one of the pinned versions of kube-apiserver, kube-controller-manager and
	// kubectl, e.g. "1.30", or Oldest.
	Kubernetes string
	// Tekton is one of the pinned versions of Tekton Pipelines, e.g. "1.3", or Oldest.
	Tekton string
	// PAC is one of the pinned versions of Pipelines-as-Code, e.g. "0.45", or Oldest.
	PAC string
}

// Oldest chooses the oldest version that is pinned.
const Oldest = "oldest"

// AddFlags adds a flag for each family.
func (v *Versions) AddFlags(flags *flag.FlagSet) {
	flags.StringVar(&v.Kubernetes, "kubernetes", v.Kubernetes, "version of Kubernetes, e.g. 1.30, or oldest; without it, the default")
	flags.StringVar(&v.Tekton, "tekton", v.Tekton, "version of Tekton Pipelines, e.g. 1.3, or oldest; without it, the default")
	flags.StringVar(&v.PAC, "pac", v.PAC, "version of Pipelines-as-Code, e.g. 0.45, or oldest; without it, the default")
}

// of returns the version that is chosen for a family, or "".
func (v Versions) of(family string) string {
	switch family {
	case kubernetesFamily:
		return v.Kubernetes
	case tektonFamily:
		return v.Tekton
	case pacFamily:
		return v.PAC
	default:
		return ""
	}
}

// Pinned returns the pinned versions of a module without their leading v, the default first and
// then from the oldest to the newest.
func Pinned(module string) ([]string, error) {
	root, r, err := wrapped(module)
	if err != nil {
		return nil, err
	}
	pins, err := readPins(root, r)
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, p := range pins {
		versions = append(versions, strings.TrimPrefix(p.version, "v"))
	}
	return versions, nil
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

func byVersion(a, b pin) int { return semver.Compare(a.version, b.version) }

// choose finds the wrapper module of the chosen version.
func (v Versions) choose(root string, r recipe) (pin, error) {
	pins, err := readPins(root, r)
	if err != nil {
		return pin{}, err
	}
	wanted := v.of(r.family)
	switch wanted {
	case "":
		return pins[0], nil
	case Oldest:
		return slices.MinFunc(pins, byVersion), nil
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

// readPins reads all wrapper modules of a family, the default first and then from the oldest to the
// newest.
func readPins(root string, r recipe) ([]pin, error) {
	family := r.familyDir(root)
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
	slices.SortFunc(pins[1:], byVersion)
	return pins, nil
}
