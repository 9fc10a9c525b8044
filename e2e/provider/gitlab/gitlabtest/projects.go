package gitlabtest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

// find returns a project by its id or its path.
func (s *Server) find(id string) *project {
	if p := s.projects[id]; p != nil {
		return p
	}
	for _, p := range s.projects {
		if strconv.FormatInt(p.id, 10) == id {
			return p
		}
	}
	return nil
}

func (s *Server) namespaces() map[string]int64 {
	ids := map[string]int64{s.o.User: 1, s.o.Group: 2}
	if s.o.Alien != "" {
		ids[s.o.Alien] = 3
	}
	return ids
}

func (s *Server) namespace(r *forge.Request) forge.Reply {
	path := r.PathValue("path")
	id, exists := s.namespaces()[path]
	if !exists {
		return missing("Namespace")
	}
	return forge.OK(object{"id": id, "full_path": path, "path": path, "kind": "group"})
}

func (s *Server) html(p *project) string { return s.URL + "/" + p.path }

func (s *Server) project(p *project) object {
	o := object{
		"id": p.id, "name": p.name, "path": p.name, "path_with_namespace": p.path, "description": p.description,
		"web_url": s.html(p), "default_branch": "main", "visibility": "private",
	}
	if p.marked {
		o["marked_for_deletion_on"] = time.Now().UTC().Format(time.DateOnly)
	}
	return o
}

func (s *Server) create(r *forge.Request) forge.Reply {
	name := r.Text("name")
	number, _ := r.JSON["namespace_id"].(float64)
	group := ""
	for path, id := range s.namespaces() {
		if id == int64(number) {
			group = path
		}
	}
	path := group + "/" + r.Text("path")
	switch {
	case name == "" || !forge.ValidName(r.Text("path")):
		return fail(http.StatusBadRequest, "name, path are missing, at least one parameter must be provided")
	case group == "":
		return refuse(http.StatusBadRequest, object{"namespace": []string{"is not valid"}})
	case group == s.o.Alien:
		return refuse(http.StatusForbidden, "403 Forbidden")
	case s.projects[path] != nil:
		taken := []string{"has already been taken"}
		return refuse(http.StatusBadRequest, object{"name": taken, "path": taken})
	}
	p := &project{
		id: s.NextID(), name: name, path: path, description: r.Text("description"),
		git: forge.NewGit(), hidden: 1, statuses: map[string][]*status{},
	}
	if r.Flag("initialize_with_readme") {
		p.git.Init(cmp.Or(r.Text("default_branch"), "master"), name)
	}
	s.projects[path] = p
	return forge.Created(s.project(p))
}

func (s *Server) list(r *forge.Request) forge.Reply {
	names := slices.Sorted(maps.Keys(s.projects))
	return s.List(r, len(names), func(i int) any { return s.project(s.projects[names[i]]) })
}

func (s *Server) delete(p *project, r *forge.Request) forge.Reply {
	permanently := r.URL.Query().Get("permanently_remove") == "true"
	switch {
	case !s.o.Delayed:
		delete(s.projects, p.path)
	case !p.marked:
		delete(s.projects, p.path)
		p.marked = true
		p.path += fmt.Sprintf("-deletion_scheduled-%d", p.id)
		s.projects[p.path] = p
	case !permanently:
		return refuse(http.StatusBadRequest, "Project has been already marked for deletion")
	case !s.o.Permanent:
		return refuse(http.StatusForbidden,
			"`permanently_remove` option is not available anymore (behind the application setting).")
	case r.URL.Query().Get("full_path") != p.path:
		return refuse(http.StatusBadRequest,
			"`full_path` is incorrect. You must enter the complete path for the project.")
	default:
		delete(s.projects, p.path)
	}
	return forge.Reply{Status: http.StatusAccepted, Body: object{"message": "202 Accepted"}}
}
