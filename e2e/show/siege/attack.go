package main

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

// How many objects of a kind each worker makes before the assault, in a phase of the usual length,
// and then keeps. They stand for a quota of objects, as clusters with tenants have one: the API
// server and etcd are not what is besieged.
const (
	stockOfOrders      = 100
	stockOfAnnotations = 30
	stockOfScripts     = 20
	stockOfGhosts      = 500
	stockOfTexts       = 160
	leasesOfHoard      = 200
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
	// plots are carried out at the same time, each by a worker of each tenant.
	plots []plot
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
		{"orders", "runs of no Repository with execution orders of 250 KiB", true, false, false, twice(buildOrders, orders)},
		{"annotations", "runs with long annotations and many labels", true, false, false, twice(buildAnnotations, annotations)},
		{"scripts", "runs with 900 KiB of scripts, and a Repository that comes and goes", true, false, false, twice(buildScripts, scripts)},
		{"ghosts", "Leases like slots, whose holders do not exist", true, false, false, twice(buildGhosts, ghosts)},
		{"texts", "Leases like slots with annotations of 250 KiB", true, false, false, twice(buildTexts, texts)},
		{
			name: "hoards", does: "Repositories of many namespaces that come when each has hundreds of Leases like slots",
			unguarded: true, wide: true, sudden: true, plots: []plot{{buildHoards, hoards}},
		},
		{
			name: "swarm", does: "hundreds of Repositories that come when each has some Leases like slots",
			unguarded: true, sudden: true, plots: twice(buildSwarm, hoards),
		},
		{"slots", "slots deleted, edited, relabelled, and other Leases in their places", true, false, false, twice(nil, slots)},
		{"crowd", "hundreds of runs that cancel each other in progress", true, false, false, twice(buildCrowd, crowd)},
		{"marks", "annotations and labels of queued and of running runs changed", true, false, false, twice(nil, marks)},
		{"starts", "queued runs started by hand, and cancelled ones revived", true, false, false, twice(nil, starts)},
		{"finally", "queued runs cancelled gracefully, as /cancel and closed pull requests do", false, false, false, twice(nil, finally)},
		{"copies", "copies of started, cancelled and finished runs", false, false, false, twice(nil, copies)},
		{"flood", "very many runs and Repositories, whose limits change all the time", true, false, false, twice(nil, flood)},
		{"strays", "Events, ConfigMaps, and what belongs to others", false, false, false, twice(nil, strays)},
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
