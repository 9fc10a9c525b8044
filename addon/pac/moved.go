package pac

// Moved says whether a replica has brought a run forward between two versions of an object of the
// informer, and which one it was; that is empty if it cannot be told. was is nil for a new run.
// What a user may write as well, like a cancellation, does not count, nor do the annotations for
// people.
func Moved(was, is any) (replica string, moved bool) {
	from, existed := was.(*Cached)
	to, ok := is.(*Cached)
	if !existed || !ok {
		return "", false
	}
	before, after := from.Run().Annotations, to.Run().Annotations
	if after[Claim] != "" && after[Claim] != before[Claim] {
		return after[Replica], true
	}
	_, held := before[HeldOrder]
	_, isHeld := after[HeldOrder]
	return "", after[Arrived] != "" && after[Arrived] != before[Arrived] || after[Attempt] != "" && after[Attempt] != before[Attempt] ||
		held && !isHeld
}
