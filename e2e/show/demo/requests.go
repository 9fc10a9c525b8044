package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

// requests counts the API requests of one client since the push.
type requests struct {
	Client                      string
	Slots, Runs, Events, Others int // successful writes
	Refused                     int // writes, e.g. because another client was faster
	Reads                       int
	Election                    int // reads and writes for leader election
}

var writes = map[string]bool{"create": true, "update": true, "patch": true, "delete": true, "deletecollection": true}

// perRun describes the cost of starting the runs.
func (r requests) perRun(starts int) string {
	return fmt.Sprintf("%.1f writes per run (%d to runs, %d to slots)", float64(r.Slots+r.Runs)/float64(max(starts, 1)), r.Runs, r.Slots)
}

// rest describes all other requests.
func (r requests) rest() string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{r.Refused, "refused write"}, {r.Events, "event"}, {r.Others, "other write"}, {r.Reads, "read"}} {
		if part.n > 0 {
			parts = append(parts, show.Count(part.n, part.what))
		}
	}
	if r.Election > 0 {
		parts = append(parts, fmt.Sprintf("%d for leader election", r.Election))
	}
	return strings.Join(parts, ", ")
}

// countRequests counts the requests of a user since a time in the API server's audit log. Leases in
// the namespace of the queue are slots; Leases elsewhere belong to leader election.
func countRequests(log io.Reader, user, namespace string, since time.Time) (*requests, error) {
	r := &requests{}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Verb string
			User struct{ Username string }

			ObjectRef      struct{ Resource, Namespace string }
			ResponseStatus struct{ Code int }

			RequestReceivedTimestamp time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		if e.User.Username != user || e.RequestReceivedTimestamp.Before(since) {
			continue
		}
		resource, inQueue := e.ObjectRef.Resource, e.ObjectRef.Namespace == namespace
		switch write := writes[e.Verb]; {
		case resource == "leases" && !inQueue:
			r.Election++
		case !write:
			r.Reads++
		case e.ResponseStatus.Code >= http.StatusBadRequest:
			r.Refused++
		case resource == "leases":
			r.Slots++
		case resource == "pipelineruns":
			r.Runs++
		case resource == "events":
			r.Events++
		default:
			r.Others++
		}
	}
	return r, lines.Err()
}
