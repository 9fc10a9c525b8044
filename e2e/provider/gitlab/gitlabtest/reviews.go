package gitlabtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

func (m mergeRequest) json() object {
	return object{
		"id": m.iid, "iid": m.iid, "title": m.title, "state": "opened",
		"source_branch": m.source, "target_branch": m.target, "sha": m.sha,
	}
}

func (m mergeRequest) sameBranches(o mergeRequest) bool {
	return o.source == m.source && o.target == m.target
}

func (s *Server) createMergeRequest(p *project, r *forge.Request) forge.Reply {
	m := mergeRequest{iid: s.NextID(), title: r.Text("title"), source: r.Text("source_branch"), target: r.Text("target_branch")}
	m.sha = p.git.Branches[m.source]
	switch {
	case m.title == "" || m.source == "" || m.target == "":
		return fail(http.StatusBadRequest, "title, source_branch or target_branch is missing")
	case m.sha == "":
		return refuse(http.StatusUnprocessableEntity, []string{"Source branch \"" + m.source + "\" does not exist"})
	case slices.ContainsFunc(p.requests, m.sameBranches):
		return refuse(http.StatusConflict, []string{"Another open merge request already exists for this source branch: !1"})
	}
	p.requests = append(p.requests, m)
	s.deliver(p, "Merge Request Hook", "merge_requests_events", object{
		"object_kind": "merge_request", "event_type": "merge_request", "user": object{"username": s.o.User},
		"object_attributes": object{
			"iid": m.iid, "title": m.title, "state": "opened", "action": "open",
			"source_branch": m.source, "source_project_id": p.id, "target_branch": m.target, "target_project_id": p.id,
			"last_commit": object{"id": m.sha, "message": p.git.Commits[m.sha].Message},
		},
	})
	return forge.Created(m.json())
}

func (s *Server) mergeRequests(p *project, r *forge.Request) forge.Reply {
	source := r.URL.Query().Get("source_branch")
	requests := slices.DeleteFunc(slices.Clone(p.requests), func(m mergeRequest) bool {
		return source != "" && m.source != source
	})
	return s.List(r, len(requests), func(i int) any { return requests[i].json() })
}

// --- statuses

// transitions lists the states that a status may change to, by the state it is in.
var transitions = map[string][]string{
	"pending": {"running", "success", "failed", "canceled", "skipped"},
	"running": {"success", "failed", "canceled"},
}

func (s *Server) setStatus(p *project, r *forge.Request) forge.Reply {
	sha, state := r.PathValue("sha"), r.Text("state")
	name := cmp.Or(r.Text("name"), r.Text("context"), "default")
	switch {
	case p.git.Commits[sha] == nil:
		return missing("Commit")
	case !slices.Contains([]string{"pending", "running", "success", "failed", "canceled", "skipped"}, state):
		return fail(http.StatusBadRequest, "state does not have a valid value")
	}
	for _, st := range p.statuses[sha] {
		if st.name != name || len(transitions[st.state]) == 0 { // a final status stays, and a new one is added
			continue
		}
		if !slices.Contains(transitions[st.state], state) {
			return refuse(http.StatusBadRequest, fmt.Sprintf("Cannot transition status via :%s from :%s", state, st.state))
		}
		st.state = state
		return forge.Created(st.json())
	}
	st := &status{s.NextID(), name, state}
	p.statuses[sha] = append(p.statuses[sha], st)
	return forge.Created(st.json())
}

func (st *status) json() object {
	return object{"id": st.id, "name": st.name, "status": st.state, "pipeline_id": 1}
}

// statuses lists the newest status of each name, or, on request, all of them.
func (s *Server) statuses(p *project, r *forge.Request) forge.Reply {
	all := slices.Clone(p.statuses[r.PathValue("sha")])
	if r.URL.Query().Get("all") != "true" {
		newest := map[string]int64{}
		for _, st := range all {
			newest[st.name] = st.id
		}
		all = slices.DeleteFunc(all, func(st *status) bool { return st.id != newest[st.name] })
	}
	return s.List(r, len(all), func(i int) any { return all[i].json() })
}
