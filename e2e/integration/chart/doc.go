// Package chart tests the Helm chart without a cluster: what helm makes of it, mode by mode and value by value. Helm is the program
// that the embedded stack uses too, so what is tested is what people run.
//
// What the chart renders is committed in testdata and compared; after a change that is meant, `go test ./e2e/integration/chart -update` writes it
// anew, to be read in the diff.
package chart
