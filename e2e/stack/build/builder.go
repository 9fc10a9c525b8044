package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// Programs says where each built component lies.
type Programs map[Component]string

// program is a component with everything that decides its cached name.
type program struct {
	recipe
	pin
	path string // in the cache
}

// Build returns the programs asked for in their default versions, as [Versions.Build] does.
func Build(ctx context.Context, log func(format string, args ...any), components ...Component) (Programs, error) {
	return Versions{}.Build(ctx, log, components...)
}

// Build returns the programs asked for, making those that the cache does not hold.
// KUBEBUILDER_ASSETS replaces programs whose version is not chosen. Progress goes to log, one line
// at a time; nil means standard error.
func (v Versions) Build(ctx context.Context, log func(format string, args ...any), components ...Component) (Programs, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	found := Programs{}
	var missing []program
	for _, c := range components {
		if path := v.asset(c); path != "" {
			found[c] = path
			continue
		}
		p, err := v.plan(root, cache, c)
		if err != nil {
			return nil, err
		}
		found[c] = p.path
		if _, err := os.Stat(p.path); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, p)
		} else if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(missing, func(a, b program) int { return position(a.name) - position(b.name) })
	progress := newProgress(log, missing)
	defer progress.stop()
	if len(missing) > 0 {
		progress.log("%d programs to build for the embedded stack (kept for next time): %s", len(missing), names(missing))
	}
	for _, p := range missing {
		if err := p.build(ctx, progress); err != nil {
			return nil, fmt.Errorf("building %s: %w", p.name, err)
		}
	}
	return found, nil
}

// CacheDir is the folder that holds what outlives a run: PAC_LEASE_QUEUE_CACHE, or a folder of ours
// in the user's cache.
func CacheDir() (string, error) {
	if dir := os.Getenv("PAC_LEASE_QUEUE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder (set PAC_LEASE_QUEUE_CACHE): %w", err)
	}
	return filepath.Join(dir, "pac-lease-queue"), nil
}

// asset returns a component's program in an envtest folder, or "". The folder holds an unknown
// version of Kubernetes.
func (v Versions) asset(c Component) string {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" || !slices.Contains(fromAssets, c) {
		return ""
	}
	if v.Kubernetes != "" && c != Etcd {
		return ""
	}
	path := filepath.Join(dir, string(c))
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// plan works out what a component would be called in the cache.
func (v Versions) plan(root, cache string, c Component) (program, error) {
	r, err := recipeFor(c)
	if err != nil {
		return program{}, err
	}
	p := program{recipe: r}
	if p.pin, err = v.choose(root, r); err != nil {
		return program{}, err
	}
	goSum, err := os.ReadFile(filepath.Join(p.dir, "go.sum"))
	if err != nil {
		return program{}, err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s %s\n%q\n%v\n", runtime.Version(), r.importPath(), runtime.GOOS, runtime.GOARCH, p.flags(), r.cgo)
	h.Write(p.goMod)
	h.Write(goSum)
	p.path = filepath.Join(cache, "bin", fmt.Sprintf("%s-%s-%x", r.name, p.version, h.Sum(nil)[:6]))
	return p, nil
}

// title is what people are told that is built.
func (p program) title() string { return strings.TrimSpace(string(p.name) + " " + p.version) }

// flags are the arguments of go build that shape the program.
func (p program) flags() []string {
	ldflags := "-s -w"
	if p.ldflags != "" {
		version := strings.TrimPrefix(p.version, "v")
		minor := strings.Split(version, ".")[1]
		ldflags += " " + strings.NewReplacer("VERSION", version, "MINOR", minor).Replace(p.ldflags)
	}
	flags := []string{"-trimpath", "-buildvcs=false", "-ldflags", ldflags}
	if p.tags != "" {
		flags = append(flags, "-tags", p.tags)
	}
	return flags
}

// build makes one program, unless another process did while we waited for its lock.
func (p program) build(ctx context.Context, progress *progress) error {
	if err := os.MkdirAll(filepath.Dir(p.path), 0o755); err != nil {
		return err
	}
	progress.start(p, waiting)
	unlock, err := lockFile(ctx, p.path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(p.path); err == nil {
		progress.done(p, "another process built")
		return nil
	}
	progress.start(p, "building")
	// The half-written program has a name of its own; the lock's owner died if one is there
	// already.
	partial := p.path + ".partial"
	args := append([]string{"build", "-v"}, p.flags()...)
	cmd := goCommand(ctx, p.dir, append(args, "-o", partial, p.importPath())...)
	cgo := "CGO_ENABLED=0"
	if p.cgo {
		cgo = "CGO_ENABLED=1"
	}
	cmd.Env = append(cmd.Env, cgo)
	out := &buildOutput{compiled: progress.compiled}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 5 * time.Second
	if err := process.Run(cmd); err != nil {
		return fmt.Errorf("go build %s in %s: %w\n%s", p.importPath(), p.dir, err, out.tail.String())
	}
	if err := os.Rename(partial, p.path); err != nil {
		return err
	}
	progress.done(p, "built")
	return nil
}

// position orders programs as the recipes do.
func position(c Component) int {
	return slices.IndexFunc(recipes, func(r recipe) bool { return r.name == c })
}

// buildOutput reads what go build -v says: a line without blanks is a package just compiled,
// anything else is worth keeping.
type buildOutput struct {
	compiled func()
	line     []byte
	tail     bytes.Buffer
}

func (o *buildOutput) Write(b []byte) (int, error) {
	for _, c := range b {
		if c != '\n' {
			o.line = append(o.line, c)
			continue
		}
		if len(bytes.Fields(o.line)) == 1 {
			o.compiled()
		} else if o.tail.Len() < 64<<10 {
			o.tail.Write(append(o.line, '\n'))
		}
		o.line = o.line[:0]
	}
	return len(b), nil
}
