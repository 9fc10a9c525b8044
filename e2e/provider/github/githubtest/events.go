package githubtest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

// events are those a hook may subscribe to here.
var events = []string{"push", "pull_request", "issue_comment", "commit_comment", "check_run", "check_suite"}

func (h hook) json() object {
	return object{
		"id": h.id, "name": "web", "active": true, "events": h.events,
		"config": object{"url": h.url, "content_type": "json", "secret": "********"},
	}
}

func (s *Server) createHook(repo *repository, r *forge.Request) forge.Reply {
	config, _ := r.JSON["config"].(object)
	text := func(key string) string { value, _ := config[key].(string); return value }
	address, err := url.Parse(text("url"))
	switch {
	case err != nil || address.Host == "":
		return invalid("Validation Failed: url is not valid")
	case text("content_type") != "json":
		return invalid("this server delivers JSON only")
	case slices.ContainsFunc(repo.hooks, func(h hook) bool { return h.url == text("url") }):
		return invalid("Validation Failed: Hook already exists on this repository")
	}
	h := hook{id: s.NextID(), url: text("url"), secret: text("secret")}
	list, _ := r.JSON["events"].([]any)
	for _, e := range list {
		event, _ := e.(string)
		if !slices.Contains(events, event) {
			return invalid("Validation Failed: event " + event + " is unknown")
		}
		h.events = append(h.events, event)
	}
	if r.Flag("active") {
		repo.hooks = append(repo.hooks, h)
	}
	s.deliver(repo, "ping", object{"zen": "Keep it logically awesome.", "hook_id": h.id})
	return forge.Created(h.json())
}

// deliver queues an event for each hook that subscribes to it.
func (s *Server) deliver(repo *repository, event string, payload object) {
	payload["repository"] = s.repository(repo)
	payload["sender"] = object{"login": s.o.User, "type": "User"}
	body, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	for _, h := range repo.hooks {
		if event != "ping" && !slices.Contains(h.events, event) {
			continue
		}
		header := http.Header{}
		header.Set("X-Github-Event", event)
		header.Set("X-Github-Delivery", rand.Text())
		header.Set("User-Agent", "GitHub-Hookshot/test")
		if h.secret != "" {
			mac := hmac.New(sha256.New, []byte(h.secret))
			mac.Write(body)
			header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
		}
		if err := s.Deliveries.Add(h.url, header, body); err != nil {
			panic(err)
		}
	}
}

func (s *Server) pushed(repo *repository, branch, before, after string) {
	commit := repo.git.Commits[after]
	s.deliver(repo, "push", object{
		"ref": "refs/heads/" + branch, "before": before, "after": after,
		"created": strings.Trim(before, "0") == "", "deleted": false, "forced": false,
		"pusher":      object{"name": s.o.User},
		"head_commit": object{"id": after, "message": commit.Message, "url": s.html(repo) + "/commit/" + after},
	})
}
