package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
)

// requests counts requests by what is asked, e.g. "patch pipelineruns".
type requests map[string]count

// count is how many requests the API server answered, and how many of them it refused.
type count struct {
	Answered int `json:"answered"`
	Refused  int `json:"refused,omitempty"`
}

// audit reads the API server's log of requests.
type audit struct{ file string }

// mark returns the end of the log, from which a later call of since counts. It may be within a line
// that is being written.
func (a audit) mark() (int64, error) {
	info, err := os.Stat(a.file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// since counts the requests of users, whose names have one of the prefixes, since a mark. Watches
// and leader election do not count: they cost the same whatever is queued.
func (a audit) since(mark int64, users []string) (requests, error) {
	file, err := os.Open(a.file)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(max(0, mark-1), io.SeekStart); err != nil {
		return nil, err
	}
	counts := requests{}
	lines := bufio.NewReaderSize(file, 1<<16)
	if mark > 0 { // what is left of the line of the mark, if only its end, was before
		if _, err := lines.ReadBytes('\n'); err != nil {
			return counts, nil // nothing has been written since
		}
	}
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return counts, nil // an incomplete line is of a request after those that matter
		}
		if err != nil {
			return nil, err
		}
		var e struct {
			Verb string
			User struct{ Username string }
			Obj  struct {
				Resource, Subresource, Namespace string
			} `json:"objectRef"`
			Status struct{ Code int } `json:"responseStatus"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, err
		}
		theirs := slices.ContainsFunc(users, func(prefix string) bool { return strings.HasPrefix(e.User.Username, prefix) })
		election := e.Obj.Resource == "leases" && e.Obj.Namespace == addonNamespace
		if !theirs || e.Verb == "watch" || e.Obj.Resource == "" || election {
			continue
		}
		what := e.Verb + " " + e.Obj.Resource
		if e.Obj.Subresource != "" {
			what += "/" + e.Obj.Subresource
		}
		c := counts[what]
		c.Answered++
		if e.Status.Code >= 400 {
			c.Refused++
		}
		counts[what] = c
	}
}

// settled waits until the users make next to no request for a while.
func (a audit) settled(ctx context.Context, users []string, within time.Duration) error {
	const calm, most = 3 * time.Second, 3 // requests in that time
	deadline := time.Now().Add(within)
	for time.Now().Before(deadline) {
		mark, err := a.mark()
		if err != nil {
			return err
		}
		if err := await.Pause(ctx, calm); err != nil {
			return err
		}
		counts, err := a.since(mark, users)
		if err != nil {
			return err
		}
		if counts.total() <= most {
			return nil
		}
	}
	return errors.New("requests do not cease")
}

// total is the number of all requests.
func (r requests) total() (n int) {
	for _, c := range r {
		n += c.Answered
	}
	return n
}
