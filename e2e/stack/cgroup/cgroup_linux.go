package cgroup

import (
	"errors"
	"path/filepath"

	"github.com/containerd/cgroups/v3"
	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"k8s.io/utils/ptr"
)

// mount is where Linux has its control groups.
const mount = "/sys/fs/cgroup"

// Group is a control group. It outlives its processes, until Delete.
type Group struct {
	v1     cgroup1.Cgroup
	v2     *cgroup2.Manager
	folder string
}

// New creates a control group whose processes have so many bytes of memory together. The name must
// be new on this machine.
func New(name string, bytes int64) (*Group, error) {
	name = "/" + name
	switch cgroups.Mode() {
	case cgroups.Unified:
		v2, err := cgroup2.NewManager(mount, name, &cgroup2.Resources{Memory: &cgroup2.Memory{Max: &bytes, Swap: ptr.To[int64](0)}})
		return &Group{v2: v2, folder: filepath.Join(mount, name)}, err
	case cgroups.Legacy, cgroups.Hybrid:
		v1, err := cgroup1.New(cgroup1.StaticPath(name), &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &bytes}},
			cgroup1.WithHierarchy(cgroup1.SingleSubsystem(cgroup1.Default, cgroup1.Memory)))
		return &Group{v1: v1, folder: filepath.Join(mount, string(cgroup1.Memory), name)}, err
	default:
		return nil, errors.New("this machine has no control groups")
	}
}

// Door is the file through which a process enters: it writes 0 there. Its children start inside.
func (g *Group) Door() string { return filepath.Join(g.folder, "cgroup.procs") }

// Kills returns how many processes the kernel has killed here for want of memory, and 0 if it does
// not say. A nil group has killed none.
func (g *Group) Kills() uint64 {
	switch {
	case g == nil:
		return 0
	case g.v2 != nil:
		stat, _ := g.v2.Stat()
		return stat.GetMemoryEvents().GetOomKill()
	default:
		stat, _ := g.v1.Stat(cgroup1.IgnoreNotExist)
		return stat.GetMemoryOomControl().GetOomKill()
	}
}

// Delete deletes the group, whose processes must have ended. There is nothing to do for a nil one.
func (g *Group) Delete() error {
	switch {
	case g == nil:
		return nil
	case g.v2 != nil:
		return g.v2.Delete()
	default:
		return g.v1.Delete()
	}
}
