// Package githubtest is a server that speaks the part of GitHub's REST API which
// the driver uses, as documented: it keeps real trees and branches, delivers signed
// webhooks, and refuses what GitHub refuses.
package githubtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

// Options say what is different about a server.
type Options struct {
	Token         string
	User          string // whose the token is
	Organisation  string // where the user may make repositories; there is no other
	DefaultBranch string // of the account; empty means main
	// FineGrained is what the token is: it may not read check runs.
	FineGrained bool
}

// Server is a GitHub Enterprise Server with one user.
type Server struct {
	URL string // e.g. for github.Options.API

	o          Options
	deliveries *forge.Deliveries

	mu           sync.Mutex
	repositories map[string]*repository // by owner/name
	ids          int64
}

type repository struct {
	owner, name, description string
	defaultBranch            string
	git                      *forge.Git
	// hidden counts the reads of branches for which a new repository has none yet.
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
	s := &Server{o: o, deliveries: forge.NewDeliveries(), repositories: map[string]*repository{}}
	server := httptest.NewServer(s.handler())
	s.URL = server.URL
	t.Cleanup(func() {
		server.Close()
		s.deliveries.Close()
	})
	return s
}

// CheckRun adds a check run to a commit, as a GitHub App does.
func (s *Server) CheckRun(owner, name, sha, run, state, conclusion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repositories[owner+"/"+name]
	r.checks[sha] = append(r.checks[sha], check{s.id(), run, state, conclusion, time.Now()})
}

// id returns the next id of the server.
func (s *Server) id() int64 {
	s.ids++
	return s.ids
}

// object is JSON.
type object = map[string]any

// reply is what the server answers.
type reply struct {
	status int
	body   any
	header http.Header
}

func ok(body any) reply            { return reply{status: http.StatusOK, body: body} }
func created(body any) reply       { return reply{status: http.StatusCreated, body: body} }
func notFound() reply              { return refuse(http.StatusNotFound, "Not Found") }
func invalid(message string) reply { return refuse(http.StatusUnprocessableEntity, message) }

func refuse(status int, message string) reply {
	return reply{status: status, body: object{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	}}
}

// request is one with its JSON.
type request struct {
	*http.Request
	body object
}

func (r *request) text(field string) string {
	text, _ := r.body[field].(string)
	return text
}

// handler routes. Everything is done under the lock.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(*request) reply) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v3"+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, do) })
	}
	in := func(do func(*repository, *request) reply) func(*request) reply {
		return func(r *request) reply {
			repo := s.repositories[r.PathValue("owner")+"/"+r.PathValue("repo")]
			if repo == nil {
				return notFound()
			}
			return do(repo, r)
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, func(*request) reply { return notFound() })
	})
	handle("GET /user", func(*request) reply { return ok(object{"login": s.o.User, "id": 1, "type": "User"}) })
	handle("POST /user/repos", func(r *request) reply { return s.create(s.o.User, r) })
	handle("POST /orgs/{org}/repos", func(r *request) reply {
		if r.PathValue("org") != s.o.Organisation {
			return notFound()
		}
		return s.create(s.o.Organisation, r)
	})
	handle("GET /user/repos", s.list)
	handle("GET /repos/{owner}/{repo}", in(func(repo *repository, _ *request) reply { return ok(s.repository(repo)) }))
	handle("DELETE /repos/{owner}/{repo}", in(s.delete))
	handle("POST /repos/{owner}/{repo}/branches/{branch}/rename", in(s.rename))
	handle("GET /repos/{owner}/{repo}/git/ref/heads/{branch...}", in(s.getRef))
	handle("PATCH /repos/{owner}/{repo}/git/refs/heads/{branch...}", in(s.updateRef))
	handle("POST /repos/{owner}/{repo}/git/refs", in(s.createRef))
	handle("POST /repos/{owner}/{repo}/git/blobs", in(s.createBlob))
	handle("GET /repos/{owner}/{repo}/git/blobs/{sha}", in(s.getBlob))
	handle("POST /repos/{owner}/{repo}/git/trees", in(s.createTree))
	handle("GET /repos/{owner}/{repo}/git/trees/{sha}", in(s.getTree))
	handle("POST /repos/{owner}/{repo}/git/commits", in(s.createCommit))
	handle("GET /repos/{owner}/{repo}/commits", in(s.listCommits))
	handle("POST /repos/{owner}/{repo}/hooks", in(s.createHook))
	handle("GET /repos/{owner}/{repo}/hooks", in(func(repo *repository, r *request) reply {
		return s.page(r, len(repo.hooks), func(i int) any { return repo.hooks[i].json() })
	}))
	handle("POST /repos/{owner}/{repo}/pulls", in(s.createPull))
	handle("GET /repos/{owner}/{repo}/pulls", in(s.listPulls))
	handle("POST /repos/{owner}/{repo}/statuses/{sha}", in(s.createStatus))
	handle("GET /repos/{owner}/{repo}/commits/{sha}/statuses", in(s.listStatuses))
	handle("GET /repos/{owner}/{repo}/commits/{sha}/check-runs", in(s.listChecks))
	return mux
}

// serve checks what GitHub checks of every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, do func(*request) reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := func() reply {
		in := &request{Request: r}
		switch authorization := r.Header.Get("Authorization"); {
		case r.UserAgent() == "":
			return refuse(http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
		case authorization == "":
			return refuse(http.StatusUnauthorized, "Requires authentication")
		case authorization != "Bearer "+s.o.Token && authorization != "token "+s.o.Token:
			return refuse(http.StatusUnauthorized, "Bad credentials")
		}
		if r.Method == http.MethodPost || r.Method == http.MethodPatch {
			if err := json.NewDecoder(r.Body).Decode(&in.body); err != nil {
				return refuse(http.StatusBadRequest, "Problems parsing JSON")
			}
		}
		return do(in)
	}()
	maps.Copy(w.Header(), answer.header)
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(answer.status)
	_ = json.NewEncoder(w).Encode(answer.body)
}

// page answers with a page of a list, and says where the next one is.
func (s *Server) page(r *request, n int, item func(int) any) reply {
	items, header := s.cut(r, n, item)
	return reply{status: http.StatusOK, body: items, header: header}
}

func (s *Server) cut(r *request, n int, item func(int) any) ([]any, http.Header) {
	number := func(name string, unset int) int {
		if value, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && value > 0 {
			return value
		}
		return unset
	}
	page, size := number("page", 1), min(number("per_page", 30), 100)
	items := []any{}
	for i := (page - 1) * size; i < min(n, page*size); i++ {
		items = append(items, item(i))
	}
	header := http.Header{}
	if page*size < n {
		next := *r.URL
		query := next.Query()
		query.Set("page", strconv.Itoa(page+1))
		next.RawQuery = query.Encode()
		header.Set("Link", fmt.Sprintf("<%s%s>; rel=\"next\"", s.URL, next.RequestURI()))
	}
	return items, header
}
