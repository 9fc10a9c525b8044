// Package cli is the command-line plugin: kubectl pac-queue and tkn queue. It
// tells where every run of every queue stands, from what is in the cluster and by
// the decision that the replicas make. It only reads, but for what doctor --fix does.
package cli
