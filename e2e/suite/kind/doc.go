// Package kind prepares a kind cluster with the whole system on it, and plays the suite there.
//
// The kit is what the Terraform configuration terraform/e2e needs: the tools that it calls, images
// of everything that runs in the cluster, and manifests that name these images. No image is pulled
// and nothing but Go modules is downloaded. TestKind applies the configuration, plays the suite
// through package onkube, and destroys the cluster. Command kit does the same by hand, without the
// suite. EXISTING_KUBECONFIG puts the system on a cluster that exists.
package kind
