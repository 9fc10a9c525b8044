package wire

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// Request is a request to the API server, with what RBAC would make of it.
type Request struct {
	*http.Request
	// Verb is RBAC's, e.g. get, list, watch, create, update, patch.
	Verb string
	// Resource is e.g. leases or pipelineruns/status.
	Resource  string
	Namespace string
	// Name is empty for lists and creations.
	Name string
}

// Writes says whether the request changes something.
func (r Request) Writes() bool {
	return r.Verb != "get" && r.Verb != "list" && r.Verb != "watch"
}

// Body returns the request's body, which can still be sent.
func (r Request) Body() ([]byte, error) {
	if r.Request.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r.Request.Body)
	if err != nil {
		return nil, err
	}
	r.Request.Body.Close()
	r.SetBody(body)
	return body, nil
}

// SetBody replaces the request's body.
func (r Request) SetBody(body []byte) {
	r.Request.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

var verbs = map[string]string{
	http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// parse reads the verb and a path /api/v1/... or /apis/GROUP/VERSION/..., which goes on with
// [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]].
func parse(r *http.Request) Request {
	q := Request{Request: r, Verb: verbs[r.Method]}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	prefix := 2
	if path[0] == "apis" {
		prefix = 3
	}
	path = path[min(prefix, len(path)):]
	if len(path) > 2 && path[0] == "namespaces" {
		q.Namespace, path = path[1], path[2:]
	}
	if len(path) > 0 {
		q.Resource = path[0]
	}
	if len(path) > 1 {
		q.Name = path[1]
	}
	if len(path) > 2 {
		q.Resource += "/" + path[2]
	}
	switch {
	case q.Verb == "delete" && q.Name == "":
		q.Verb = "deletecollection"
	case q.Verb != "":
	case r.URL.Query().Get("watch") != "":
		q.Verb = "watch"
	case q.Name == "":
		q.Verb = "list"
	default:
		q.Verb = "get"
	}
	return q
}
