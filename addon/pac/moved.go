package pac

import tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

// Moved says whether a replica has brought a run forward between two versions of an object of the
// informer, and which one it was; that is empty if it cannot be told. was is nil for a new run.
// What a user may write as well, like a cancellation, does not count, nor do the annotations for
// people.
func Moved(was, is any) (replica string, moved bool) {
	from, existed := was.(*tektonv1.PipelineRun)
	to, ok := is.(*tektonv1.PipelineRun)
	if !existed || !ok {
		return "", false
	}
	before, after := from.Annotations, to.Annotations
	if after[Claim] != "" && after[Claim] != before[Claim] {
		return after[Replica], true
	}
	_, held := before[HeldOrder]
	_, isHeld := after[HeldOrder]
	return "", after[Arrived] != "" && after[Arrived] != before[Arrived] || after[Attempt] != "" && after[Attempt] != before[Attempt] ||
		held && !isHeld
}
