package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// Module is the path of this repository's Go module.
const Module = "github.com/pac-lease-queue/pac-lease-queue"

// Root finds the repository: the nearest folder above the working directory whose go.mod is ours,
// else the one this file was compiled from. A test binary built with -trimpath knows only the
// first.
func Root() (string, error) {
	starts := []string{}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if _, file, _, ok := runtime.Caller(0); ok {
		starts = append(starts, filepath.Dir(file))
	}
	for _, dir := range starts {
		for {
			if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && modulePath(b) == Module {
				return dir, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", fmt.Errorf("no go.mod of %s above %s", Module, strings.Join(starts, " or "))
}

// ModuleDir returns the folder of a pinned module's sources in its default version, as
// [Versions.ModuleDir] does.
func ModuleDir(ctx context.Context, module string) (string, error) {
	return Versions{}.ModuleDir(ctx, module)
}

// ModuleDir returns the folder of a pinned module's sources (for CRDs, config maps, templates),
// fetching it when it is not there.
func (v Versions) ModuleDir(ctx context.Context, module string) (string, error) {
	root, r, err := wrapped(module)
	if err != nil {
		return "", err
	}
	p, err := v.choose(root, r)
	if err != nil {
		return "", err
	}
	cache, err := goCommand(ctx, p.dir, "env", "GOMODCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMODCACHE: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(cache)), filepath.FromSlash(escape(module))+"@"+escape(p.version))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if out, err := goCommand(ctx, p.dir, "mod", "download", module).CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetching %s: %w\n%s", module, err, out)
	}
	return dir, nil
}

// wrapped returns the root of the repository, and a recipe of the family whose wrapper modules pin
// the module.
func wrapped(module string) (root string, r recipe, err error) {
	i := slices.IndexFunc(recipes, func(r recipe) bool { return r.module == module })
	if i < 0 {
		return "", recipe{}, fmt.Errorf("no component comes from module %q", module)
	}
	root, err = Root()
	return root, recipes[i], err
}

// Beside is a go command, e.g. run, for programs of this repository that lie beside the wrapper
// modules of a family and use the wrapped module: it compiles against the chosen version.
func (v Versions) Beside(ctx context.Context, module, verb string, args ...string) (*exec.Cmd, error) {
	root, r, err := wrapped(module)
	if err != nil {
		return nil, err
	}
	p, err := v.choose(root, r)
	if err != nil {
		return nil, err
	}
	flags := []string{verb, "-modfile=" + filepath.Join(p.dir, "go.mod"), "-trimpath", "-buildvcs=false"}
	cmd := goCommand(ctx, r.familyDir(root), append(flags, args...)...)
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	return cmd, nil
}

// goCommand runs the go tool in a wrapper module, out of reach of a caller's workspace and flags.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	return cmd
}

// modulePath reads the module directive of a go.mod.
func modulePath(goMod []byte) string {
	for line := range bytes.Lines(goMod) {
		if f := strings.Fields(string(line)); len(f) == 2 && f[0] == "module" {
			return f[1]
		}
	}
	return ""
}

// requiredVersion reads the version a go.mod requires of a module.
func requiredVersion(goMod []byte, module string) (string, error) {
	for line := range bytes.Lines(goMod) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(string(line)), "require "))
		if len(f) >= 2 && f[0] == module && strings.HasPrefix(f[1], "v") {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("go.mod requires no version of %s", module)
}

// escape spells a path as the module cache does: an upper-case letter becomes an exclamation mark
// and the lower-case letter.
func escape(path string) string {
	var b strings.Builder
	for _, r := range path {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
