package queue

// Kueue is what a run has to do with Kueue, which admits runs by the resources of the cluster.
type Kueue struct {
	// Queue is the queue of Kueue's that the run is labelled for; empty if none.
	Queue string
	// Hidden says that Kueue does not see the label, so that it reserves nothing for a run that
	// waits for a slot.
	Hidden bool
	// Admits says that Kueue is at work in the cluster. A run with a queue is then Kueue's to
	// start: [Start] only passes it to Kueue.
	Admits bool
	// Passed says that the run has been passed to Kueue and still waits for it.
	Passed bool
}

// BesideKueue returns the run as it reads where Kueue is at work. One that has been passed to Kueue
// counts as started: Kueue may start it at any moment, so its slot stays its own until it is done.
func (r Run) BesideKueue() Run {
	if r.Kueue.Queue == "" {
		return r
	}
	r.Kueue.Admits = true
	if r.Kueue.Passed && r.Phase == Pending {
		r.Phase = Started
	}
	return r
}

// WaitsForKueue says that the run has what it needs from this product, and Kueue has not started
// it.
func (r *Run) WaitsForKueue() bool { return r.Phase == Started && r.Kueue.Passed }
