package board

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/access"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/rates"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/follow"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

const (
	// patience is how long a reader may take for what it is sent at once.
	patience = 10 * time.Second
	// beat is how often a stream says that it is there, so that proxies keep it.
	beat = 20 * time.Second
	// retry is about how long a browser waits until it opens a stream again that broke off.
	retry = 4 * time.Second
)

// about is a time of up to a half less or more.
func about(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// shown is a page that is asked for.
type shown struct {
	// name tells it from all others, and of is the queue of which it shows something.
	name string
	of   queue.Key
	make func() (page.Page, error)
}

// errElsewhere sends the reader on.
type errElsewhere struct{ to string }

func (e errElsewhere) Error() string { return "see " + e.to }

// read finds out which page a request asks for, if its sender may see it.
type read func(*http.Request, *follow.Follower, access.Reader) (shown, error)

// ask is the way to every page: it tells who asks, and what for.
func (b *Board) ask(r *http.Request, read read) (shown, error) {
	reader, err := b.Access.Reader(r)
	if err != nil {
		return shown{}, err
	}
	f := b.following()
	if f == nil {
		return shown{}, errStarting
	}
	return read(r, f, reader)
}

// mayRead returns an error unless the reader may see the namespace of the request.
func mayRead(r *http.Request, f *follow.Follower, reader access.Reader) (namespace string, err error) {
	namespace = r.PathValue("namespace")
	sees, err := reader.Sees(r.Context(), namespace)
	switch {
	case err != nil:
		return "", err
	case !sees:
		return "", errMayNotSee
	case !f.Follows(namespace):
		return "", errNothing{"Not here", "This board does not show the queues of namespace " + namespace + "."}
	}
	return namespace, nil
}

func (b *Board) readList(r *http.Request, f *follow.Follower, reader access.Reader) (shown, error) {
	rows := b.list(f)
	seen, err := reader.SeesOf(r.Context(), namespacesOf(rows))
	if err != nil {
		return shown{}, err
	}
	query := page.ReadQuery(r.URL.Query()).Among(visible(rows, seen))
	make := func() (page.Page, error) {
		return page.List(visible(b.list(f), seen), query, notesFor(f, seen), b.Clock.Now())
	}
	return shown{name: "/" + query.Encode() + " " + seen.String(), make: make}, nil
}

func (b *Board) readQueue(r *http.Request, f *follow.Follower, reader access.Reader) (shown, error) {
	namespace, err := mayRead(r, f, reader)
	if err != nil {
		return shown{}, err
	}
	key := queue.Key{Namespace: namespace, Repository: r.PathValue("queue")}
	number, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	if q, exists := b.queue(f, key); exists {
		number = page.Number(q, number) // no page is open under many names
	}
	make := func() (page.Page, error) {
		q, exists := b.queue(f, key)
		if !exists {
			return page.Page{}, errNothing{"No queue", "There is no queue " + key.String() +
				". A Repository with a concurrency_limit has one, and so has a RunQueue with a limit."}
		}
		return page.Queue(q, b.history.Of(key, b.Clock.Now()), number, notes(f))
	}
	return shown{fmt.Sprintf("%s?page=%d", page.Path(key), number), key, make}, nil
}

func (b *Board) readRun(r *http.Request, f *follow.Follower, reader access.Reader) (shown, error) {
	namespace, err := mayRead(r, f, reader)
	if err != nil {
		return shown{}, err
	}
	name := r.PathValue("run")
	to := b.Console.Of(namespace, name)
	nothing := errNothing{"No such run", "Run " + name + " waits in no queue: it has ended a while ago, or is in none."}
	key, found := f.Locate(namespace, name)
	switch {
	case !found && to != "":
		return shown{}, errElsewhere{to}
	case !found:
		return shown{}, nothing
	}
	make := func() (page.Page, error) {
		q, is, done := b.find(f, namespace, name)
		switch {
		case to != "" && (is == nil || is.State() == queue.StateStarted):
			return page.Page{}, errElsewhere{to}
		case is == nil && done == nil:
			return page.Page{}, nothing
		case done != nil:
			return page.Ended(q, *done, to, notes(f))
		default:
			return page.Run(q, *is, to, notes(f))
		}
	}
	return shown{page.RunPath(namespace, name), key, make}, nil
}

// readNothing is what a path asks for that leads nowhere.
func readNothing(*http.Request, *follow.Follower, access.Reader) (shown, error) {
	return shown{}, errNothing{"No such page", "There is no page at this address."}
}

// find finds a run that is not done, or one that is; neither, if it is in no queue.
func (b *Board) find(f *follow.Follower, namespace, name string) (inspect.Queue, *queue.Standing, *inspect.Done) {
	key, found := f.Locate(namespace, name)
	if !found {
		return inspect.Queue{}, nil, nil
	}
	q, _ := b.queue(f, key)
	if is, stands := q.Standing(name); stands {
		return q, &is, nil
	}
	for i := range q.Done {
		if q.Done[i].Name == name {
			return q, nil, &q.Done[i]
		}
	}
	return q, nil, nil
}

// page serves a page as a document.
func (b *Board) page(read read) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var is page.Page
		asked, err := b.ask(r, read)
		if err == nil {
			is, err = asked.make()
		}
		status := http.StatusOK
		if err != nil {
			var elsewhere errElsewhere
			if errors.As(err, &elsewhere) {
				http.Redirect(w, r, elsewhere.to, http.StatusFound)
				return
			}
			f := failureOf(err)
			f.head(w)
			status = f.status
			if is, err = page.Message(f.title, f.text, page.Link{Text: "All queues", To: "/"}); err != nil {
				http.Error(w, "the page cannot be made", http.StatusInternalServerError)
				return
			}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = is.Write(w) // the reader may be gone
	}
}

// stream serves the parts of a page as they change, as server-sent events.
func (b *Board) stream(read read) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked, err := b.ask(r, read)
		if is, ends := endOf(err); ends {
			w.Header().Set("Content-Type", eventStream)
			_, _ = io.WriteString(w, eventOf(content{}, is)) // the reader may be gone
			return
		}
		if err != nil {
			failureOf(err).plain(w)
			return
		}
		address := rates.Host(r.RemoteAddr)
		if !b.streams.take(address) {
			failureOf(errTooMany).plain(w)
			return
		}
		defer b.streams.give(address)
		s, err := b.hub.subscribe(asked.name, asked.of, address, asked.content)
		if err != nil {
			failureOf(err).plain(w)
			return
		}
		defer b.hub.unsubscribe(s)
		w.Header().Set("Content-Type", eventStream)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no") // nginx passes each event on at once
		events := events{w, http.NewResponseController(w)}
		// Readers who lose their streams together come back one after the other.
		if events.send(fmt.Sprintf("retry: %d\n\n", about(retry).Milliseconds())) != nil {
			return
		}
		ticker := b.Clock.NewTicker(beat)
		defer ticker.Stop()
		expires := b.Clock.After(about(b.Limits.Stream))
		for seen := 0; ; {
			text := ": here\n\n"
			select {
			case <-r.Context().Done():
				return
			case <-expires: // the reader comes back, and its rights are looked at again
				return
			case <-ticker.C():
			case is, open := <-s.news:
				if !open {
					return
				}
				text, seen = is.after(seen), is.number
			}
			if events.send(text) != nil {
				return
			}
		}
	}
}

const eventStream = "text/event-stream"

// content is what the page says now.
func (a shown) content() (content, error) {
	is, err := a.make()
	if is, ends := endOf(err); ends {
		return is, nil
	}
	return content{parts: is.Parts}, err
}

// endOf is the content of a page that its readers are to leave, by the error instead of one.
func endOf(err error) (content, bool) {
	var elsewhere errElsewhere
	var nothing errNothing
	switch {
	case errors.As(err, &elsewhere):
		return content{to: elsewhere.to}, true
	case errors.As(err, &nothing):
		return content{gone: true}, true
	default:
		return content{}, false
	}
}

// eventOf is what a stream says when a page has changed; empty if it has not.
func eventOf(was, is content) string {
	switch {
	case is.to != "" && is.to == was.to, is.gone && was.gone:
		return ""
	case is.to != "":
		return "event: go\ndata: " + is.to + "\n\n"
	case is.gone:
		return "event: reload\ndata:\n\n"
	}
	news, changed := page.News(was.parts, is.parts)
	if !changed {
		return ""
	}
	return "event: parts\ndata: " + string(news) + "\n\n"
}

// events are those of one stream.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e events) send(text string) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(e.w, text); err != nil {
		return err
	}
	return e.control.Flush()
}
