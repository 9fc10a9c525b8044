package queue

// Freshness is how far a look at a queue goes past the caches. Each level proves
// more than the one before it, so levels can be compared.
type Freshness int

const (
	// Cached looks read caches alone. They hold only the runs that PAC has not
	// finished with, so the absence of a run proves nothing.
	Cached Freshness = iota
	// Confirmed looks read caches, and read every holder of a slot that the caches
	// lack from the API server: a holder that is not in the snapshot is gone.
	Confirmed
	// Fresh looks read limit, runs and slots past every cache: the absence of a slot
	// or of a limit is proven, too.
	Fresh
)

func (f Freshness) String() string {
	return [...]string{"cached", "confirmed", "fresh"}[f]
}
