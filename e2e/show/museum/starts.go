package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// reconciler.go:updatePipelineRunToInProgress takes every error of the start patch to mean that the
// run was not started, and startNextPipelineRunInQueue then starts another run in its place.
func lostReply(s *scene) error {
	starts := func(r wire.Request) bool {
		spec, _ := patchOf(r, s, "run-02")["spec"].(map[string]any)
		status, ok := spec["status"]
		return ok && (status == nil || status == "")
	}
	if err := s.tapStarters(s.once("the reply to the start of run-02 is lost", starts, wire.LoseReply)); err != nil {
		return err
	}
	return s.push(stack.RunFiles(3, 3*time.Second))
}

// reconciler.go:startNextPipelineRunInQueue removes a candidate that it cannot read from the queue
// and tries the next one. Only a restart brings the candidate back. The add-on starts the next run
// without reading it; for the add-on, the live read before it creates the first slot fails as well.
func failedGet(s *scene) error {
	var reported atomic.Bool // PAC has written that run-01 is completed, and looks for the next run now
	watch := func(r wire.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		metadata, _ := patchOf(r, s, "run-01")["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		if annotations[keys.State] == "completed" {
			reported.Store(true)
		}
		return send(r.Request)
	}
	gets := func(r wire.Request) bool { return reported.Load() && r.Verb == "get" && s.isRun(r, "run-02") }
	taps := []wire.Tap{watch, s.once("a Get of run-02 fails", gets, wire.LoseRequest)}
	if s.addon != nil {
		looks := func(r wire.Request) bool {
			return strings.HasPrefix(r.UserAgent(), "pac-lease-queue/") &&
				r.Verb == "list" && r.Resource == "pipelineruns" && r.Namespace == s.key.Namespace
		}
		taps = append(taps, s.once("the add-on's live read of the runs fails", looks, wire.LoseRequest))
	}
	if err := s.tapStarters(taps...); err != nil {
		return err
	}
	return s.push(stack.RunFiles(3, short))
}

// isRun reports whether a request is about the scene's run of a definition.
func (s *scene) isRun(r wire.Request, name string) bool {
	return r.Resource == "pipelineruns" && r.Namespace == s.key.Namespace && definition(r.Name) == name
}

// patchOf returns the merge patch in a request if it patches the given run, and nil otherwise.
func patchOf(r wire.Request, s *scene, name string) map[string]any {
	if r.Verb != "patch" || !s.isRun(r, name) {
		return nil
	}
	body, err := r.Body()
	if err != nil {
		return nil // the sender gets the error
	}
	var patch map[string]any
	if json.Unmarshal(body, &patch) != nil {
		return nil
	}
	return patch
}
