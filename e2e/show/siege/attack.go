package main

import "slices"

// What the documentation of the add-on, of PAC and of Tekton says of names and values.
const (
	ofPAC  = "pipelinesascode.tekton.dev/"
	ofOurs = "pac-lease-queue.dev/"

	managedBy = "app.kubernetes.io/managed-by"
	theAddOn  = "pac-lease-queue"

	pending             = "PipelineRunPending"
	cancelled           = "Cancelled"
	cancelledRunFinally = "CancelledRunFinally"
	stoppedRunFinally   = "StoppedRunFinally"

	queued    = "queued"
	completed = "completed"
)

// Sizes that the API server still takes.
const (
	longAnnotations = 250 << 10 // it takes 256 KiB of annotations for an object
	longScript      = 900 << 10 // it takes 1.5 MiB for an object
)

// mostOfOrder is how many runs an execution order may name.
const mostOfOrder = 1000

// How many objects of a kind each worker makes before the assault, in a phase of the usual length,
// and then keeps. They stand for a quota of objects, as clusters with tenants have one: the API
// server and etcd are not what is besieged.
const (
	stockOfOrders      = 100
	stockOfAnnotations = 30
	stockOfScripts     = 20
	stockOfGhosts      = 500
	stockOfTexts       = 160
	stockOfBrims       = 460 // 7 KiB each of the 16 MiB that a namespace has
	leasesOfHoard      = 400
	stockOfSwarm       = 40
	leasesOfSwarm      = 12
	stockOfCrowd       = 300
	// stockOfLargeCrowd is for the workers of one tenant: the cost of a crowd is in its size.
	stockOfLargeCrowd = 2000
	stockOfRuns       = 60
	stockOfFlood      = 500
)

// attack is something that a tenant does.
type attack struct {
	name string
	does string // for people
	// unguarded attacks are also made without the guard, when they get further.
	unguarded bool
	// wide attacks are made from many namespaces, as several tenants can, or one that has many.
	wide bool
	// sudden attacks are over in a moment, so that the slowest start tells, and no median.
	sudden bool
	// whole attacks have no effect until the tenants have built up everything, so they get the time
	// for that even in a short siege.
	whole bool
	// plots are carried out at the same time, each by a worker of each tenant.
	plots []plot
	// warns is part of the Warning that a tenant must get for exceeding a bound without the guard,
	// which keeps it from doing so. The cost to other tenants does not show that bound: another one
	// covers it.
	warns string
}

// plot is what one worker does.
type plot struct {
	// build makes what the assault needs, or has its effect by being there. It may be nil.
	build func(*worker)
	// assault goes on until the attack ends.
	assault func(*worker)
}

// attacks lists all there are. The last one is all the others together.
func attacks() []attack {
	alone := []attack{
		{
			name: "orders", does: "runs of a queue and of no Repository with execution orders of 250 KiB",
			unguarded: true, plots: twice(buildOrders, orders), warns: "bytes, more than",
		},
		{
			name: "annotations", does: "runs with long annotations and many labels",
			unguarded: true, plots: twice(buildAnnotations, annotations),
		},
		{
			name: "brims", does: "thousands of runs of a namespace, whose annotations are as long as they may be",
			unguarded: true, whole: true, plots: slices.Repeat(twice(buildBrims, brims), 3),
			warns: "more than 16 MiB of annotations",
		},
		{
			name: "settings", does: "Repositories with annotations and parameters of 250 KiB",
			unguarded: true, plots: twice(buildSettings, settings),
		},
		{
			name: "scripts", does: "runs with 900 KiB of scripts, and a Repository that comes and goes",
			unguarded: true, plots: twice(buildScripts, scripts),
		},
		{name: "ghosts", does: "Leases like slots, whose holders do not exist", unguarded: true, plots: twice(buildGhosts, ghosts)},
		{
			name: "texts", does: "Leases like slots with annotations and holders' names of 250 KiB",
			unguarded: true, plots: twice(buildTexts, texts),
		},
		{
			name: "hoards", does: "Repositories of many namespaces that come when each has hundreds of Leases like slots",
			unguarded: true, wide: true, sudden: true, plots: []plot{{buildHoards, hoards}},
		},
		{
			name: "swarm", does: "hundreds of Repositories, with a run each, that come when each has some Leases like slots",
			unguarded: true, sudden: true, plots: twice(buildSwarm, swarm),
		},
		{
			name: "slots", does: "slots deleted, edited, relabelled, and other Leases in their places",
			unguarded: true, plots: twice(nil, slots),
		},
		{name: "crowd", does: "hundreds of runs that cancel each other in progress", unguarded: true, plots: twice(buildCrowd, crowd)},
		{name: "marks", does: "annotations and labels of queued and of running runs changed", unguarded: true, plots: twice(nil, marks)},
		{name: "starts", does: "queued runs started by hand, and cancelled ones revived", unguarded: true, plots: twice(nil, starts)},
		{name: "finally", does: "queued runs cancelled gracefully, as /cancel and closed pull requests do", plots: twice(nil, finally)},
		{name: "copies", does: "copies of started, cancelled and finished runs", plots: twice(nil, copies)},
		{
			name: "flood", does: "very many runs and Repositories, whose limits change all the time",
			unguarded: true, plots: twice(nil, flood),
		},
		{name: "strays", does: "Events, ConfigMaps, and what belongs to others", plots: twice(nil, strays)},
		{name: "pages", does: "thousands of pages of the board, asked for and kept open", plots: twice(nil, askForPages)},
	}
	var together []plot
	for _, a := range alone {
		together = append(together, a.plots[0])
	}
	return append(alone, attack{name: "together", does: "all of these at once", unguarded: true, plots: together})
}

// twice is an attack with two workers of each tenant.
func twice(build, assault func(*worker)) []plot {
	return []plot{{build, assault}, {build, assault}}
}

func names(all []attack) []string {
	var names []string
	for _, a := range all {
		names = append(names, a.name)
	}
	return names
}
