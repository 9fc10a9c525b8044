// Package githubtest is a local server that speaks the part of GitHub's REST API that the driver
// uses, as documented: it keeps real trees and branches, delivers signed webhooks, and refuses what
// GitHub refuses.
package githubtest

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

// Options configure a server.
type Options struct {
	Token         string
	User          string // the owner of the token
	Organisation  string // the only one; the user may create repositories in it
	DefaultBranch string // of the account; empty means main
	// FineGrained makes the token a fine-grained one, which may not read check runs.
	FineGrained bool
}

// Server is a GitHub Enterprise Server with one user. Its URL goes into github.Options.API.
type Server struct {
	*forge.Server

	o            Options
	repositories map[string]*repository // by owner/name
}

type repository struct {
	owner, name, description string
	defaultBranch            string
	git                      *forge.Git
	// hidden is how many reads of branches a new repository still answers as empty.
	hidden   int
	hooks    []hook
	pulls    []pull
	statuses map[string][]status
	checks   map[string][]check
}

type hook struct {
	id          int64
	url, secret string
	events      []string
}

type pull struct {
	number                      int64
	title, head, base, sha, url string
}

type status struct {
	id                  int64
	context, state, sha string
	at                  time.Time
}

type check struct {
	id                       int64
	name, status, conclusion string
	at                       time.Time
}

// New starts a server for a test.
func New(t *testing.T, o Options) *Server {
	if o.DefaultBranch == "" {
		o.DefaultBranch = "main"
	}
	s := &Server{o: o, repositories: map[string]*repository{}}
	s.Server = forge.NewServer(t, forge.API{
		Prefix: "/api/v3", Check: s.check, NoRoute: notFound(), PageSize: 30,
		BadJSON: func(error) forge.Reply { return refuse(http.StatusBadRequest, "Problems parsing JSON") },
	})
	s.route()
	return s
}

// CheckRun adds a check run to a commit, as a GitHub App does.
func (s *Server) CheckRun(owner, name, sha, run, state, conclusion string) {
	s.Locked(func() {
		r := s.repositories[owner+"/"+name]
		r.checks[sha] = append(r.checks[sha], check{s.NextID(), run, state, conclusion, time.Now()})
	})
}

type object = forge.Object

func notFound() forge.Reply { return refuse(http.StatusNotFound, "Not Found") }

func invalid(message string) forge.Reply { return refuse(http.StatusUnprocessableEntity, message) }

func refuse(status int, message string) forge.Reply {
	return forge.Reply{Status: status, Body: object{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	}}
}

// check refuses the requests that GitHub refuses whatever they ask for.
func (s *Server) check(r *http.Request) *forge.Reply {
	var refusal forge.Reply
	switch authorization := r.Header.Get("Authorization"); {
	case r.UserAgent() == "":
		refusal = refuse(http.StatusForbidden,
			"Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
	case authorization == "":
		refusal = refuse(http.StatusUnauthorized, "Requires authentication")
	case authorization != "Bearer "+s.o.Token && authorization != "token "+s.o.Token:
		refusal = refuse(http.StatusUnauthorized, "Bad credentials")
	default:
		return nil
	}
	return &refusal
}

func (s *Server) route() {
	in := func(do func(*repository, *forge.Request) forge.Reply) func(*forge.Request) forge.Reply {
		return func(r *forge.Request) forge.Reply {
			repo := s.repositories[r.PathValue("owner")+"/"+r.PathValue("repo")]
			if repo == nil {
				return notFound()
			}
			return do(repo, r)
		}
	}
	s.Handle("GET /user", func(*forge.Request) forge.Reply {
		return forge.OK(object{"login": s.o.User, "id": 1, "type": "User"})
	})
	s.Handle("POST /user/repos", func(r *forge.Request) forge.Reply { return s.create(s.o.User, r) })
	s.Handle("POST /orgs/{org}/repos", func(r *forge.Request) forge.Reply {
		if r.PathValue("org") != s.o.Organisation {
			return notFound()
		}
		return s.create(s.o.Organisation, r)
	})
	s.Handle("GET /user/repos", s.list)
	s.Handle("GET /repos/{owner}/{repo}", in(func(repo *repository, _ *forge.Request) forge.Reply {
		return forge.OK(s.repository(repo))
	}))
	s.Handle("DELETE /repos/{owner}/{repo}", in(s.delete))
	s.Handle("POST /repos/{owner}/{repo}/branches/{branch}/rename", in(s.rename))
	s.Handle("GET /repos/{owner}/{repo}/git/ref/heads/{branch...}", in(s.getRef))
	s.Handle("PATCH /repos/{owner}/{repo}/git/refs/heads/{branch...}", in(s.updateRef))
	s.Handle("POST /repos/{owner}/{repo}/git/refs", in(s.createRef))
	s.Handle("POST /repos/{owner}/{repo}/git/blobs", in(s.createBlob))
	s.Handle("GET /repos/{owner}/{repo}/git/blobs/{sha}", in(s.getBlob))
	s.Handle("POST /repos/{owner}/{repo}/git/trees", in(s.createTree))
	s.Handle("GET /repos/{owner}/{repo}/git/trees/{sha}", in(s.getTree))
	s.Handle("POST /repos/{owner}/{repo}/git/commits", in(s.createCommit))
	s.Handle("GET /repos/{owner}/{repo}/commits", in(s.listCommits))
	s.Handle("POST /repos/{owner}/{repo}/hooks", in(s.createHook))
	s.Handle("GET /repos/{owner}/{repo}/hooks", in(func(repo *repository, r *forge.Request) forge.Reply {
		return s.List(r, len(repo.hooks), func(i int) any { return repo.hooks[i].json() })
	}))
	s.Handle("POST /repos/{owner}/{repo}/pulls", in(s.createPull))
	s.Handle("GET /repos/{owner}/{repo}/pulls", in(s.listPulls))
	s.Handle("POST /repos/{owner}/{repo}/statuses/{sha}", in(s.createStatus))
	s.Handle("GET /repos/{owner}/{repo}/commits/{sha}/statuses", in(s.listStatuses))
	s.Handle("GET /repos/{owner}/{repo}/commits/{sha}/check-runs", in(s.listChecks))
}
