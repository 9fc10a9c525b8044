// Package cli is the command-line plugin: kubectl pac-queue and tkn queue. It shows the state of
// every run of every queue, from what is in the cluster and by the decision that the replicas
// make. It only reads, except for doctor --fix.
package cli
