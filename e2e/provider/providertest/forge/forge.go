// Package forge is the common part of the local servers that speak a provider's API: the HTTP side,
// Git's objects and branches in memory, and webhooks that are delivered in order.
package forge

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ValidName reports whether a repository may have a name.
func ValidName(name string) bool {
	return name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// Commit is a commit.
type Commit struct {
	SHA     string
	Parents []string
	Tree    string
	Message string
	At      time.Time
}

// Git is a Git repository. It is not safe for concurrent use.
type Git struct {
	Blobs    map[string]string            // contents by hash
	Trees    map[string]map[string]string // by hash: paths to blobs
	Commits  map[string]*Commit
	Branches map[string]string // names to commits
}

// NewGit returns a repository without commits.
func NewGit() *Git {
	return &Git{
		Blobs: map[string]string{}, Trees: map[string]map[string]string{},
		Commits: map[string]*Commit{}, Branches: map[string]string{},
	}
}

// Init makes the first commit of a branch: a README that names the repository.
func (g *Git) Init(branch, name string) {
	tree := g.Tree(map[string]string{"README.md": g.Blob("# " + name)})
	g.Branches[branch] = g.Commit(tree, "Initial commit").SHA
}

// Blob adds the content of a file and returns its hash, which is the one Git computes.
func (g *Git) Blob(content string) string {
	sha := hash("blob", content)
	g.Blobs[sha] = content
	return sha
}

// Tree adds a tree of blobs and returns its hash.
func (g *Git) Tree(blobs map[string]string) string {
	var text bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(blobs)) {
		fmt.Fprintf(&text, "%s %s\n", blobs[path], path)
	}
	sha := hash("tree", text.String())
	g.Trees[sha] = maps.Clone(blobs)
	return sha
}

// Commit adds a commit, on no branch yet. The same commit added twice in one second is one commit.
func (g *Git) Commit(tree, message string, parents ...string) *Commit {
	c := &Commit{Parents: parents, Tree: tree, Message: message, At: time.Now().UTC().Truncate(time.Second)}
	c.SHA = hash("commit", fmt.Sprintf("%s\n%v\n%s\n%s", tree, parents, c.At, message))
	g.Commits[c.SHA] = c
	return c
}

// Log returns a commit and its ancestors along first parents, newest first.
func (g *Git) Log(sha string) []*Commit {
	var log []*Commit
	for c := g.Commits[sha]; c != nil; {
		log = append(log, c)
		if len(c.Parents) == 0 {
			break
		}
		c = g.Commits[c.Parents[0]]
	}
	return log
}

// Contains reports whether ancestor is the commit itself or one of its ancestors.
func (g *Git) Contains(sha, ancestor string) bool {
	return slices.ContainsFunc(g.Log(sha), func(c *Commit) bool { return c.SHA == ancestor })
}

func hash(kind, content string) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", kind, len(content), content)))
}

// Deliveries posts webhooks, one after the other.
type Deliveries struct {
	queue chan *http.Request
	stop  context.CancelFunc
	ctx   context.Context
	done  sync.WaitGroup
}

// NewDeliveries returns Deliveries. The caller closes them.
func NewDeliveries() *Deliveries {
	d := &Deliveries{queue: make(chan *http.Request, 1000)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.done.Go(func() {
		for {
			select {
			case r := <-d.queue:
				// A failed delivery is lost, as it is at the real providers.
				if reply, err := http.DefaultClient.Do(r); err == nil {
					reply.Body.Close()
				}
			case <-d.ctx.Done():
				return
			}
		}
	})
	return d
}

// Add queues a webhook for delivery.
func (d *Deliveries) Add(url string, header http.Header, body []byte) error {
	r, err := http.NewRequestWithContext(d.ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	d.queue <- r
	return nil
}

// Close drops the webhooks still queued and waits for the one being delivered.
func (d *Deliveries) Close() {
	d.stop()
	d.done.Wait()
}
