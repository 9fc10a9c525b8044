// Package stack runs the real components around pac-lease-queue as plain processes on loopback:
// etcd, kube-apiserver, kube-controller-manager, Tekton, Pipelines-as-Code (PAC), Gitea, and kwok
// in place of the kubelet. It needs no container engine, no image registry and no root; package
// build builds the programs from pinned Go modules and caches them.
//
//	s, err := stack.Start(ctx, stack.Options{Components: stack.Everything})
//	defer s.Stop()
//
// A stack has its own folder, ports and log files, so that any number can run side by side, and
// nothing of it outlives the program that started it (package process). Starting takes seconds. The
// tests of a package share one stack (package stacktest) and use a namespace and a Gitea repository
// each.
//
// Each stack takes its ports from a block below the kernel's ephemeral range. One port is outside:
// both programs of Tekton listen on :8080, knative's fixed probe port, whatever their configuration
// says. The second one logs an error when it ends and works all the same.
//
// Every client has an identity at the API server. PAC and Tekton are the ServiceAccounts of their
// own deployment files, bound to the RBAC roles shipped with them. The add-on runs with the token,
// roles, arguments and environment that its Helm chart gives it (InstallAddon).
//
// The package is larger than others because the components meet here: they share the stack's users,
// ports and folder. Each file is about one component.
package stack
