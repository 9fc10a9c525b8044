// Package cgroup bounds the memory of a process as the kubelet bounds that of a container: by a
// control group of its own, in which the kernel kills what needs more. It works for root on Linux,
// with either version of control groups; [New] returns an error elsewhere.
package cgroup

import (
	"fmt"
	"os"
)

// Try returns nil if this process can create control groups, and otherwise why it cannot.
func Try() error {
	group, err := New(fmt.Sprintf("try-%d", os.Getpid()), 1<<30)
	if err != nil {
		return err
	}
	return group.Delete()
}
