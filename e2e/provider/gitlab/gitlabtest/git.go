package gitlabtest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

func (p *project) json(c *forge.Commit) object {
	parents := c.Parents
	if parents == nil {
		parents = []string{}
	}
	title, _, _ := strings.Cut(c.Message, "\n")
	return object{
		"id": c.SHA, "short_id": c.SHA[:8], "title": title, "message": c.Message, "parent_ids": parents, "created_at": c.At,
	}
}

// resolve returns the commit that a branch or a hash names, or nil.
func (p *project) resolve(ref string) *forge.Commit {
	if sha := p.git.Branches[ref]; sha != "" {
		ref = sha
	}
	return p.git.Commits[ref]
}

func (s *Server) branch(p *project, r *forge.Request) forge.Reply {
	name := r.PathValue("branch")
	sha := p.git.Branches[name]
	if p.hidden > 0 {
		p.hidden--
		sha = ""
	}
	if sha == "" {
		return missing("Branch")
	}
	return forge.OK(object{"name": name, "commit": p.json(p.git.Commits[sha])})
}

func (s *Server) tree(p *project, r *forge.Request) forge.Reply {
	c := p.resolve(r.URL.Query().Get("ref"))
	if c == nil {
		return missing("Tree")
	}
	if r.URL.Query().Get("recursive") != "true" {
		return refuse(http.StatusNotImplemented, "this server lists trees recursively only")
	}
	nodes := []object{}
	dirs := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(p.git.Trees[c.Tree])) {
		for i, char := range path {
			if char == '/' && !dirs[path[:i]] {
				dirs[path[:i]] = true
				nodes = append(nodes, object{"id": c.Tree, "type": "tree", "path": path[:i], "mode": "040000"})
			}
		}
		nodes = append(nodes, object{"id": p.git.Trees[c.Tree][path], "type": "blob", "path": path, "mode": "100644"})
	}
	return s.List(r, len(nodes), func(i int) any { return nodes[i] })
}

func (s *Server) file(p *project, r *forge.Request) forge.Reply {
	c := p.resolve(r.URL.Query().Get("ref"))
	if c == nil {
		return missing("Commit")
	}
	blob, exists := p.git.Trees[c.Tree][r.PathValue("file")]
	if !exists {
		return missing("File")
	}
	content := base64.StdEncoding.EncodeToString([]byte(p.git.Blobs[blob]))
	return forge.OK(object{"file_path": r.PathValue("file"), "encoding": "base64", "content": content})
}

func (s *Server) commits(p *project, r *forge.Request) forge.Reply {
	c := p.resolve(r.URL.Query().Get("ref_name"))
	if c == nil {
		return forge.OK([]object{})
	}
	log := p.git.Log(c.SHA)
	return s.List(r, len(log), func(i int) any { return p.json(log[i]) })
}

func (s *Server) commit(p *project, r *forge.Request) forge.Reply {
	branch, message := r.Text("branch"), r.Text("commit_message")
	actions, _ := r.JSON["actions"].([]any)
	before := p.git.Branches[branch]
	parent := before
	switch start := r.Text("start_sha"); {
	case branch == "" || message == "" || len(actions) == 0:
		return fail(http.StatusBadRequest, "branch, commit_message or actions are missing")
	case start != "" && before != "":
		return refuse(http.StatusBadRequest, "A branch called '"+branch+"' already exists. Switch to that branch in order to make changes")
	case start != "":
		parent = start
	}
	base := p.git.Commits[parent]
	if base == nil {
		return refuse(http.StatusBadRequest, "You can only create or edit files when you are on a branch")
	}
	blobs := maps.Clone(p.git.Trees[base.Tree])
	for _, a := range actions {
		action, _ := a.(object)
		text := func(key string) string { value, _ := action[key].(string); return value }
		path, content := text("file_path"), text("content")
		_, exists := blobs[path]
		if text("encoding") == "base64" {
			decoded, err := base64.StdEncoding.DecodeString(content)
			if err != nil {
				return refuse(http.StatusBadRequest, "invalid base64")
			}
			content = string(decoded)
		}
		switch kind := text("action"); {
		case path == "" || strings.HasPrefix(path, "/"):
			return refuse(http.StatusBadRequest, "You must provide a file path")
		case kind == "create" && exists:
			return refuse(http.StatusBadRequest, "A file with this name already exists")
		case (kind == "update" || kind == "delete") && !exists:
			return refuse(http.StatusBadRequest, "A file with this name doesn't exist")
		case kind == "create", kind == "update":
			blobs[path] = p.git.Blob(content)
		case kind == "delete":
			delete(blobs, path)
		default:
			return fail(http.StatusBadRequest, "actions[action] does not have a valid value")
		}
	}
	c := p.git.Commit(p.git.Tree(blobs), message, parent)
	p.git.Branches[branch] = c.SHA
	if before == "" {
		before = strings.Repeat("0", 40)
	}
	s.deliver(p, "Push Hook", "push_events", object{
		"object_kind": "push", "event_name": "push", "ref": "refs/heads/" + branch, "before": before, "after": c.SHA,
		"checkout_sha": c.SHA, "user_username": s.o.User, "total_commits_count": 1,
		"commits": []object{{"id": c.SHA, "message": message, "title": message, "url": s.html(p) + "/-/commit/" + c.SHA}},
	})
	return forge.Created(p.json(c))
}
