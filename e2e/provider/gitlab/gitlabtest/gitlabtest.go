// Package gitlabtest is a server that speaks the part of GitLab's REST API which the
// driver uses, as documented: it keeps real trees and branches, delivers webhooks
// with their secret, and refuses what GitLab refuses.
package gitlabtest

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

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/providertest/forge"
)

// Options say what is different about a server.
type Options struct {
	Token string
	User  string // whose the token is
	Group string // where the user may make projects
	Alien string // a group where they may not
	// Delayed is what a server does with projects that are deleted: it keeps them
	// for days, unless Permanent says that one may insist.
	Delayed, Permanent bool
}

// Server is a GitLab with one user.
type Server struct {
	URL string

	o          Options
	deliveries *forge.Deliveries

	mu       sync.Mutex
	projects map[string]*project // by path
	ids      int64
}

type project struct {
	id                      int64
	name, path, description string
	git                     *forge.Git
	hidden                  int // reads for which a new project has no branch yet
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
	s := &Server{o: o, deliveries: forge.NewDeliveries(), projects: map[string]*project{}}
	server := httptest.NewServer(s.handler())
	s.URL = server.URL
	t.Cleanup(func() {
		server.Close()
		s.deliveries.Close()
	})
	return s
}

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

func ok(body any) reply      { return reply{status: http.StatusOK, body: body} }
func created(body any) reply { return reply{status: http.StatusCreated, body: body} }
func missing(what string) reply {
	return refuse(http.StatusNotFound, "404 "+what+" Not Found")
}

func refuse(status int, message any) reply {
	return reply{status: status, body: object{"message": message}}
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

func (r *request) flag(field string) bool {
	flag, _ := r.body[field].(bool)
	return flag
}

// handler routes. Everything is done under the lock.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(*request) reply) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v4"+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, do) })
	}
	in := func(do func(*project, *request) reply) func(*request) reply {
		return func(r *request) reply {
			p := s.find(r.PathValue("id"))
			if p == nil {
				return missing("Project")
			}
			return do(p, r)
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, func(*request) reply {
			return reply{status: http.StatusNotFound, body: object{"error": "404 Not Found"}}
		})
	})
	handle("GET /namespaces/{path}", s.namespace)
	handle("GET /projects", s.list)
	handle("POST /projects", s.create)
	handle("GET /projects/{id}", in(func(p *project, _ *request) reply { return ok(s.project(p)) }))
	handle("DELETE /projects/{id}", in(s.delete))
	handle("GET /projects/{id}/repository/branches/{branch}", in(s.branch))
	handle("GET /projects/{id}/repository/tree", in(s.tree))
	handle("GET /projects/{id}/repository/files/{file}", in(s.file))
	handle("GET /projects/{id}/repository/commits", in(s.commits))
	handle("POST /projects/{id}/repository/commits", in(s.commit))
	handle("POST /projects/{id}/hooks", in(s.createHook))
	handle("GET /projects/{id}/hooks", in(func(p *project, r *request) reply {
		return s.page(r, len(p.hooks), func(i int) any { return p.hooks[i].json() })
	}))
	handle("POST /projects/{id}/merge_requests", in(s.createMergeRequest))
	handle("GET /projects/{id}/merge_requests", in(s.mergeRequests))
	handle("POST /projects/{id}/statuses/{sha}", in(s.setStatus))
	handle("GET /projects/{id}/repository/commits/{sha}/statuses", in(s.statuses))
	return mux
}

// serve checks what GitLab checks of every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, do func(*request) reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := func() reply {
		in := &request{Request: r}
		if r.Header.Get("Private-Token") != s.o.Token && r.Header.Get("Authorization") != "Bearer "+s.o.Token {
			return refuse(http.StatusUnauthorized, "401 Unauthorized")
		}
		if r.Method == http.MethodPost {
			if kind := r.Header.Get("Content-Type"); kind != "application/json" {
				return reply{status: http.StatusUnsupportedMediaType, body: object{"error": "The provided content-type '" + kind + "' is not supported."}}
			}
			if err := json.NewDecoder(r.Body).Decode(&in.body); err != nil {
				return reply{status: http.StatusBadRequest, body: object{"error": "There was a problem in the JSON you submitted: " + err.Error()}}
			}
		}
		return do(in)
	}()
	maps.Copy(w.Header(), answer.header)
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.status)
	_ = json.NewEncoder(w).Encode(answer.body)
}

// page answers with a page of a list, and says where the next one is.
func (s *Server) page(r *request, n int, item func(int) any) reply {
	number := func(name string, unset int) int {
		if value, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && value > 0 {
			return value
		}
		return unset
	}
	page, size := number("page", 1), min(number("per_page", 20), 100)
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
		header.Set("X-Next-Page", strconv.Itoa(page+1))
	}
	return reply{status: http.StatusOK, body: items, header: header}
}
