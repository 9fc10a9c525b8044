package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// requests are what somebody asked of the API server from the push on.
type requests struct {
	Who                         string
	Slots, Runs, Events, Others int // writes that were carried out
	Refused                     int // writes, e.g. because somebody else was faster
	Reads                       int
	Election                    int // reads and writes for leader election
}

var writes = map[string]bool{"create": true, "update": true, "patch": true, "delete": true, "deletecollection": true}

// starting is what it cost to start the runs.
func (r requests) starting(starts int) string {
	return fmt.Sprintf("%.1f writes per run (%d of runs, %d of slots)", float64(r.Slots+r.Runs)/float64(max(starts, 1)), r.Runs, r.Slots)
}

// rest is what it asked besides.
func (r requests) rest() string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{r.Refused, "refused write"}, {r.Events, "event"}, {r.Others, "other write"}, {r.Reads, "read"}} {
		if part.n > 0 {
			parts = append(parts, count(part.n, part.what))
		}
	}
	if r.Election > 0 {
		parts = append(parts, fmt.Sprintf("%d for leader election", r.Election))
	}
	return strings.Join(parts, ", ")
}

// countRequests counts what a user asked of the API server since a time, from its
// audit log. Slots are the Leases in the namespace of the queue; those elsewhere
// are leader election's.
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
		resource, own := e.ObjectRef.Resource, e.ObjectRef.Namespace == namespace
		switch write := writes[e.Verb]; {
		case resource == "leases" && !own:
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
