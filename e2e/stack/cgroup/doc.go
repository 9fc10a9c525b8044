// Package cgroup bounds the memory of a process as the kubelet bounds that of a container: by a
// control group of its own, in which the kernel kills what needs more. It works for root on Linux,
// with either version of control groups; [New] returns an error elsewhere.
package cgroup
