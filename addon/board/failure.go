package board

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/access"
	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
)

// errNothing says why there is nothing to show.
type errNothing struct{ title, text string }

func (e errNothing) Error() string { return e.text }

var (
	errStarting  = errors.New("the board has yet to see the queues; it takes a few seconds")
	errStopping  = errors.New("the board is stopping")
	errTooFast   = errors.New("too many requests")
	errTooMany   = errors.New("too many pages are open")
	errMayNotSee = errors.New("you may not see the queues of this namespace: that needs the right to list its PipelineRuns")
)

// failure is what a reader is told instead of a page.
type failure struct {
	title, text string
	status      int
	again       time.Duration // after which another try may help; zero for never
}

// failureOf says what an error is to a reader. What it does not know goes to the log only.
func failureOf(err error) failure {
	var nothing errNothing
	switch {
	case errors.As(err, &nothing):
		return failure{nothing.title, nothing.text, http.StatusNotFound, 0}
	case errors.Is(err, access.ErrUnknown):
		return failure{"Sign in", err.Error(), http.StatusUnauthorized, 0}
	case errors.Is(err, errMayNotSee):
		return failure{"Not yours to see", err.Error(), http.StatusForbidden, 0}
	case errors.Is(err, errStarting):
		return failure{"Starting", err.Error(), http.StatusServiceUnavailable, 5 * time.Second}
	case errors.Is(err, errTooMany), errors.Is(err, errStopping):
		return failure{"Not now", err.Error(), http.StatusServiceUnavailable, 30 * time.Second}
	case errors.Is(err, errTooFast), errors.Is(err, access.ErrTooMany):
		return failure{"Not so fast", err.Error(), http.StatusTooManyRequests, time.Second}
	case errors.Is(err, access.ErrUnanswered):
		klog.Background().Error(err, "It cannot be found out what a reader may see")
		return failure{"Not now", access.ErrUnanswered.Error(), http.StatusServiceUnavailable, 5 * time.Second}
	default:
		klog.Background().Error(err, "A page cannot be shown")
		return failure{"Not now", "something is wrong with the board; its log says what", http.StatusInternalServerError, page.Refresh}
	}
}

// head writes the headers. A page without JavaScript tries again by itself.
func (f failure) head(w http.ResponseWriter) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if f.again > 0 {
		w.Header().Set("Retry-After", seconds(f.again))
		w.Header().Set("Refresh", seconds(max(f.again, page.Refresh)))
	}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// plain answers with a line of text.
func (f failure) plain(w http.ResponseWriter) {
	f.head(w)
	http.Error(w, f.title+": "+f.text, f.status)
}

// asJSON answers as the API does.
func (f failure) asJSON(w http.ResponseWriter) {
	f.head(w)
	text, _ := json.Marshal(map[string]string{"error": f.text}) // a text always is JSON
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.status)
	_, _ = w.Write(append(text, '\n')) // the reader may be gone
}

// answer answers a request in its way.
func (f failure) answer(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/v1/") {
		f.asJSON(w)
	} else {
		f.plain(w)
	}
}
