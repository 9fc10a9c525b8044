package gitlabtest

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

func (h hook) json() object {
	o := object{"id": h.id, "url": h.url} // never the token
	for event, wanted := range h.events {
		o[event] = wanted
	}
	return o
}

func (s *Server) createHook(p *project, r *forge.Request) forge.Reply {
	address, err := url.Parse(r.Text("url"))
	if err != nil || address.Host == "" {
		return refuse(http.StatusUnprocessableEntity, "Invalid url given")
	}
	h := hook{id: s.NextID(), url: r.Text("url"), secret: r.Text("token"), events: map[string]bool{"push_events": true}}
	for _, event := range []string{"push_events", "merge_requests_events", "note_events"} {
		if wanted, set := r.JSON[event].(bool); set {
			h.events[event] = wanted
		}
	}
	p.hooks = append(p.hooks, h)
	return forge.Created(h.json())
}

// deliver queues an event for each hook that subscribes to it.
func (s *Server) deliver(p *project, kind, event string, payload object) {
	payload["project_id"] = p.id
	payload["project"] = object{
		"id": p.id, "name": p.name, "path_with_namespace": p.path, "default_branch": "main",
		"web_url": s.html(p), "http_url": s.html(p) + ".git",
	}
	body, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	for _, h := range p.hooks {
		if !h.events[event] {
			continue
		}
		header := http.Header{}
		header.Set("X-Gitlab-Event", kind)
		header.Set("User-Agent", "GitLab/test")
		if h.secret != "" {
			header.Set("X-Gitlab-Token", h.secret)
		}
		if err := s.Deliveries.Add(h.url, header, body); err != nil {
			panic(err)
		}
	}
}
