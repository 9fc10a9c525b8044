// Package kind prepares what terraform/e2e puts on a kind cluster: the tools that it
// calls, images of everything that runs there, and manifests that name these images.
// No image is pulled and nothing is downloaded but Go modules.
package kind
