// Package build makes the third-party programs of the embedded stack (etcd, kube-apiserver, Tekton,
// Pipelines-as-Code, Gitea, ...) out of their Go modules and keeps them in a cache folder.
//
// Each program is pinned by a wrapper module under e2e/stack/components, because their dependency
// graphs conflict with each other and must not leak into the product's go.mod. Versions other than
// the default have a wrapper module each ([Versions]). A cached program is named after everything
// that went into it: version, flags, the wrapper's go.mod and go.sum, the Go release. Any number of
// processes may build at once; each program is built by one of them while the others wait.
package build
