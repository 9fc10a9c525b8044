// Package onstack runs the suite on the embedded stack. Cluster is the stack as a suite.Cluster:
// what a Deployment and its nodes would do to pods, it does to the processes of the add-on's
// replicas.
//
// The tests prove the product on the real components: real pushes to Gitea, real PAC, Tekton and
// API server, and the add-on as its Helm chart installs it. TestSuite plays the list that every
// cluster must pass. The other tests go deeper, with what only processes allow: failpoints, refused
// starts, failing webhooks. Each ends with an audit of the invariants over every watch event of its
// queue.
package onstack
