// Package gitlabtest is a local server that speaks the part of GitLab's REST API that the driver
// uses, as documented: it keeps real trees and branches, delivers webhooks with their secret, and
// refuses what GitLab refuses.
package gitlabtest

import (
	"net/http"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

// Options configure a server.
type Options struct {
	Token string
	User  string // the owner of the token
	Group string // the user may create projects in it
	Alien string // a group in which the user may not
	// Delayed makes the server keep deleted projects for days, except that, with Permanent, a
	// second request may delete one for good.
	Delayed, Permanent bool
}

// Server is a GitLab with one user.
type Server struct {
	*forge.Server

	o        Options
	projects map[string]*project // by path
}

type project struct {
	id                      int64
	name, path, description string
	git                     *forge.Git
	hidden                  int // how many reads of branches a new project still answers with 404
	hooks                   []hook
	requests                []mergeRequest
	statuses                map[string][]*status
	marked                  bool // for deletion
}

type hook struct {
	id          int64
	url, secret string
	events      map[string]bool
}

type mergeRequest struct {
	iid                        int64
	title, source, target, sha string
}

type status struct {
	id          int64
	name, state string
}

// New starts a server for a test.
func New(t *testing.T, o Options) *Server {
	s := &Server{o: o, projects: map[string]*project{}}
	s.Server = forge.NewServer(t, forge.API{
		Prefix: "/api/v4", Check: s.check, NoRoute: fail(http.StatusNotFound, "404 Not Found"),
		PageSize: 20, Next: "X-Next-Page",
		BadJSON: func(err error) forge.Reply {
			return fail(http.StatusBadRequest, "There was a problem in the JSON you submitted: "+err.Error())
		},
	})
	s.route()
	return s
}

type object = forge.Object

func missing(what string) forge.Reply { return refuse(http.StatusNotFound, "404 "+what+" Not Found") }

// refuse replies as GitLab's own code does.
func refuse(status int, message any) forge.Reply {
	return forge.Reply{Status: status, Body: object{"message": message}}
}

// fail replies as the framework below GitLab's code does.
func fail(status int, text string) forge.Reply {
	return forge.Reply{Status: status, Body: object{"error": text}}
}

// check refuses the requests that GitLab refuses whatever they ask for.
func (s *Server) check(r *http.Request) *forge.Reply {
	var refusal forge.Reply
	switch kind := r.Header.Get("Content-Type"); {
	case r.Header.Get("Private-Token") != s.o.Token && r.Header.Get("Authorization") != "Bearer "+s.o.Token:
		refusal = refuse(http.StatusUnauthorized, "401 Unauthorized")
	case r.Method == http.MethodPost && kind != "application/json":
		refusal = fail(http.StatusUnsupportedMediaType, "The provided content-type '"+kind+"' is not supported.")
	default:
		return nil
	}
	return &refusal
}

func (s *Server) route() {
	in := func(do func(*project, *forge.Request) forge.Reply) func(*forge.Request) forge.Reply {
		return func(r *forge.Request) forge.Reply {
			p := s.find(r.PathValue("id"))
			if p == nil {
				return missing("Project")
			}
			return do(p, r)
		}
	}
	s.Handle("GET /namespaces/{path}", s.namespace)
	s.Handle("GET /projects", s.list)
	s.Handle("POST /projects", s.create)
	s.Handle("GET /projects/{id}", in(func(p *project, _ *forge.Request) forge.Reply { return forge.OK(s.project(p)) }))
	s.Handle("DELETE /projects/{id}", in(s.delete))
	s.Handle("GET /projects/{id}/repository/branches/{branch}", in(s.branch))
	s.Handle("GET /projects/{id}/repository/tree", in(s.tree))
	s.Handle("GET /projects/{id}/repository/files/{file}", in(s.file))
	s.Handle("GET /projects/{id}/repository/commits", in(s.commits))
	s.Handle("POST /projects/{id}/repository/commits", in(s.commit))
	s.Handle("POST /projects/{id}/hooks", in(s.createHook))
	s.Handle("GET /projects/{id}/hooks", in(func(p *project, r *forge.Request) forge.Reply {
		return s.List(r, len(p.hooks), func(i int) any { return p.hooks[i].json() })
	}))
	s.Handle("POST /projects/{id}/merge_requests", in(s.createMergeRequest))
	s.Handle("GET /projects/{id}/merge_requests", in(s.mergeRequests))
	s.Handle("POST /projects/{id}/statuses/{sha}", in(s.setStatus))
	s.Handle("GET /projects/{id}/repository/commits/{sha}/statuses", in(s.statuses))
}
