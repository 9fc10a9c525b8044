// Package chart tests the Helm chart without a cluster: what helm renders, mode by mode and value
// by value. The tests run the same helm as the embedded stack.
//
// What the chart renders is committed in testdata. After an intended change,
// `go test ./e2e/integration/chart -update` rewrites it, for review in the diff.
package chart
