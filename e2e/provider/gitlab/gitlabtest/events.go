package gitlabtest

import (
	"encoding/json"
	"net/http"
	"net/url"
)

func (h hook) json() object {
	o := object{"id": h.id, "url": h.url} // never the token
	for event, wanted := range h.events {
		o[event] = wanted
	}
	return o
}

func (s *Server) createHook(p *project, r *request) reply {
	address, err := url.Parse(r.text("url"))
	if err != nil || address.Host == "" {
		return refuse(http.StatusUnprocessableEntity, "Invalid url given")
	}
	h := hook{id: s.id(), url: r.text("url"), secret: r.text("token"), events: map[string]bool{"push_events": true}}
	for _, event := range []string{"push_events", "merge_requests_events", "note_events"} {
		if wanted, set := r.body[event].(bool); set {
			h.events[event] = wanted
		}
	}
	p.hooks = append(p.hooks, h)
	return created(h.json())
}

// deliver sends an event to the hooks that want it.
func (s *Server) deliver(p *project, kind, event string, payload object) {
	payload["project_id"] = p.id
	payload["project"] = object{
		"id": p.id, "name": p.name, "path_with_namespace": p.path, "web_url": s.html(p), "default_branch": "main", "http_url": s.html(p) + ".git",
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
		if err := s.deliveries.Add(h.url, header, body); err != nil {
			panic(err)
		}
	}
}
