// Package kueue plays the add-on beside Kueue on a real API server with Tekton: Kueue's own
// scheduler and job framework, built from its module, with a stand-in for tekton-kueue, which no
// module proxy has (e2e/stack/components/kueue). Its tests have the build tag kueue, because Kueue
// takes minutes to compile; `make kueue` runs them. The part that needs no Kueue is in
// e2e/integration/admission.
package kueue
