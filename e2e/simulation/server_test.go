package simulation

import (
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func newTestServer() *server {
	s := newServer(func() time.Time { return noon })
	s.noted = func(change, *request) {}
	return s
}

// TestLeases: the server refuses what the real one refuses.
func TestLeases(t *testing.T) {
	lease := func(edit func(*coordinationv1.Lease)) *coordinationv1.Lease {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app.slot-0", UID: "uid-1", ResourceVersion: "1"}}
		edit(l)
		return l
	}
	for name, c := range map[string]struct {
		exists bool
		put    *coordinationv1.Lease
		is     func(error) bool
	}{
		"the version that is there":  {true, lease(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To("a") }), nil},
		"another version":            {true, lease(func(l *coordinationv1.Lease) { l.ResourceVersion = "9" }), apierrors.IsConflict},
		"another UID":                {true, lease(func(l *coordinationv1.Lease) { l.UID = "uid-9" }), apierrors.IsConflict},
		"no version":                 {true, lease(func(l *coordinationv1.Lease) { l.ResourceVersion = "" }), apierrors.IsInvalid},
		"absent, with a UID":         {false, lease(func(*coordinationv1.Lease) {}), apierrors.IsConflict},
		"absent, without":            {false, lease(func(l *coordinationv1.Lease) { l.UID = "" }), nil},
		"what no Lease may be named": {false, lease(func(l *coordinationv1.Lease) { l.UID, l.Name = "", "App" }), apierrors.IsInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestServer()
			if c.exists {
				if _, err := s.createLease(lease(func(l *coordinationv1.Lease) { l.UID, l.ResourceVersion = "", "" }), nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.updateLease(c.put, nil); err != nil && (c.is == nil || !c.is(err)) || err == nil && c.is != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestPatch: a merge patch has its preconditions, and Tekton its say.
func TestPatch(t *testing.T) {
	for name, c := range map[string]struct {
		patch string
		done  bool
		is    func(error) bool
		v     string
	}{
		"start":                {`{"metadata":{"uid":"uid-1","resourceVersion":"1"},"spec":{"status":null}}`, false, nil, "2"},
		"another version":      {`{"metadata":{"resourceVersion":"7"},"spec":{"status":null}}`, false, apierrors.IsConflict, "1"},
		"another UID":          {`{"metadata":{"uid":"uid-7"}}`, false, apierrors.IsConflict, "1"},
		"nothing":              {`{"metadata":{"resourceVersion":"1"}}`, false, nil, "1"},
		"the spec of one done": {`{"spec":{"status":null}}`, true, apierrors.IsBadRequest, "2"},
		"another pipeline":     {`{"spec":{"pipelineRef":{"name":"other"}}}`, false, apierrors.IsBadRequest, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestServer()
			cl := &Cluster{server: s, now: noon, trace: func(string, ...any) {}}
			pr := &tektonv1.PipelineRun{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"},
				Spec: tektonv1.PipelineRunSpec{
					Status: tektonv1.PipelineRunSpecStatusPending, PipelineRef: &tektonv1.PipelineRef{Name: "ci"},
				},
			}
			s.create(runs, pr, nil)
			if c.done {
				cl.finish(pr)
			}
			_, err := s.patchRun("shop", "a", []byte(c.patch), nil)
			if err != nil && (c.is == nil || !c.is(err)) || err == nil && c.is != nil {
				t.Errorf("error %v", err)
			}
			if is, _ := s.run("shop", "a"); is.ResourceVersion != c.v {
				t.Errorf("it is at version %s, want %s", is.ResourceVersion, c.v)
			}
		})
	}
}
