// Package stack runs the real components around pac-lease-queue as plain processes on loopback: etcd, kube-apiserver,
// kube-controller-manager, Tekton, Pipelines-as-Code (PAC), Gitea, and kwok, which plays the kubelet. No container engine, image
// registry or root is needed; the programs are built from pinned Go modules (package build) and kept for next time.
//
//	s, err := stack.Start(ctx, stack.Options{Components: stack.Everything})
//	defer s.Stop()
//
// A stack has its own folder, ports and log files, so that any number can run side by side, and nothing of it outlives the program
// that started it (package process). Starting takes seconds; tests share one stack and use a namespace and a Gitea repository
// each.
//
// Ports: each stack takes a block below the kernel's ephemeral range. One escapes that: Tekton's two programs try to listen on :8080
// whatever they are told (knative's fixed probe port). The second to come logs an error at its end and works all the same.
//
// Everybody who talks to the API server is somebody: PAC and Tekton are the ServiceAccounts of their own deployment files, bound to
// the RBAC roles shipped with them, and the add-on runs with the token, roles, arguments and environment that its Helm chart
// gives it (InstallAddon).
package stack
