package forge

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
)

// Object is a JSON object.
type Object = map[string]any

// Request is an HTTP request with the JSON object it carries.
type Request struct {
	*http.Request
	JSON Object
}

// Text returns a field that is a string, or an empty string.
func (r *Request) Text(field string) string {
	text, _ := r.JSON[field].(string)
	return text
}

// Flag returns a field that is a boolean, or false.
func (r *Request) Flag(field string) bool {
	flag, _ := r.JSON[field].(bool)
	return flag
}

// Reply is what a server answers. A nil Body sends none.
type Reply struct {
	Status int
	Body   any
	Header http.Header
}

// OK returns a reply with status 200.
func OK(body any) Reply { return Reply{Status: http.StatusOK, Body: body} }

// Created returns a reply with status 201.
func Created(body any) Reply { return Reply{Status: http.StatusCreated, Body: body} }

func (r Reply) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.Header)
	if r.Body == nil {
		w.WriteHeader(r.Status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.Status)
	_ = json.NewEncoder(w).Encode(r.Body)
}

// API holds what differs between the APIs of providers.
type API struct {
	Prefix   string                       // of every path
	Check    func(r *http.Request) *Reply // why a request is refused before its body is read, or nil
	BadJSON  func(err error) Reply        // to a body that is not a JSON object
	NoRoute  Reply                        // to a path or a method the server does not know
	PageSize int                          // unless the request names one
	Next     string                       // header with the number of the next page, besides Link; empty for none
}

// Server is the HTTP side of a local server. It serves one request at a time, so handlers need no
// lock of their own.
type Server struct {
	URL        string
	Deliveries *Deliveries

	api API
	mux *http.ServeMux

	mu  sync.Mutex
	ids int64
}

// NewServer starts a server for a test. It has no routes yet.
func NewServer(t *testing.T, api API) *Server {
	s := &Server{Deliveries: NewDeliveries(), api: api, mux: http.NewServeMux()}
	s.mux.HandleFunc("/", s.serve(func(*Request) Reply { return api.NoRoute }))
	server := httptest.NewServer(s.mux)
	s.URL = server.URL
	t.Cleanup(func() {
		server.Close()
		s.Deliveries.Close()
	})
	return s
}

// Handle adds a route. Its pattern is http.ServeMux's, without the API's prefix.
func (s *Server) Handle(pattern string, do func(*Request) Reply) {
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" "+s.api.Prefix+path, s.serve(do))
}

// Locked calls a function while no request is being served.
func (s *Server) Locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// NextID returns an ID that the server has not given to anything yet. It is for handlers.
func (s *Server) NextID() int64 {
	s.ids++
	return s.ids
}

func (s *Server) serve(do func(*Request) Reply) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.Locked(func() { s.reply(r, do).send(w) })
	}
}

func (s *Server) reply(r *http.Request, do func(*Request) Reply) Reply {
	if refusal := s.api.Check(r); refusal != nil {
		return *refusal
	}
	request := &Request{Request: r}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		if err := json.NewDecoder(r.Body).Decode(&request.JSON); err != nil {
			return s.api.BadJSON(err)
		}
	}
	return do(request)
}

// List replies with the page that the request asks for, of a list of n items, and links the next
// one.
func (s *Server) List(r *Request, n int, item func(int) any) Reply {
	number := func(name string, unset int) int {
		if value, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && value > 0 {
			return value
		}
		return unset
	}
	page, size := number("page", 1), min(number("per_page", s.api.PageSize), 100)
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
		if s.api.Next != "" {
			header.Set(s.api.Next, strconv.Itoa(page+1))
		}
	}
	return Reply{Status: http.StatusOK, Body: items, Header: header}
}
