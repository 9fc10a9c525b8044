package metrics

import "github.com/pac-lease-queue/pac-lease-queue/addon/queue"

// The objects that are written.
const (
	objectRun  = "run"
	objectSlot = "slot"
)

// What is put right: a step that nobody took in time, or one that is no part of
// the usual course.
const (
	kindClaim   = "claim"
	kindStart   = "start"
	kindExpire  = "expire"
	kindRelease = "release"
	kindRemove  = "remove"
	kindCancel  = "cancel"
	kindReturn  = "return"
	kindAdopt   = "adopt"
	kindRewrite = "rewrite"
)

var kinds = []string{kindClaim, kindStart, kindExpire, kindRelease, kindRemove, kindCancel, kindReturn, kindAdopt, kindRewrite}

func kindOf(a queue.Action) string {
	switch a.(type) {
	case queue.Claim:
		return kindClaim
	case queue.Start:
		return kindStart
	case queue.Expire:
		return kindExpire
	case queue.Release:
		return kindRelease
	case queue.Remove:
		return kindRemove
	case queue.Cancel:
		return kindCancel
	case queue.Return:
		return kindReturn
	default:
		return ""
	}
}

// objectOf is what an action writes.
func objectOf(a queue.Action) string {
	switch a.(type) {
	case queue.Claim, queue.Release, queue.Remove:
		return objectSlot
	default:
		return objectRun
	}
}
