// Package webhooks has Pipelines-as-Code's own code parse the webhooks of every Git provider and
// annotate the runs that it makes of them (e2e/stack/components/pipelines-as-code/webhooks), and
// compares what the add-on reads from these annotations with what PAC has in memory. It goes
// through every pinned version of PAC and needs no cluster.
package webhooks
