package page

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Refresh is how often a page without JavaScript loads itself again.
const Refresh = 10 * time.Second

// Page is one page: its parts can change while it is open.
type Page struct {
	Title string
	// Now is when the page was made, by the clock that its times go by.
	Now time.Time
	// Trail leads from the list of all queues to the page.
	Trail []Link
	// Live is the path of the stream of its parts; empty for a page that does not change.
	Live string
	// Notes say what the board cannot see.
	Notes []string
	// Form is the filter of the list.
	Form  *Form
	Parts []Part
}

// Link is a text that leads somewhere.
type Link struct{ Text, To string }

// Part is a piece of a page.
type Part struct {
	ID   string        `json:"id"`
	HTML template.HTML `json:"html"`
}

//go:embed templates/*.html
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"ago":     ago,
	"in":      in,
	"took":    func(d time.Duration) string { return report.Round(d) },
	"seconds": func(d time.Duration) int { return int(d.Seconds()) },
	"refresh": func() int { return int(Refresh.Seconds()) },
	"plural":  plural,
	"path":    Path,
	"runPath": RunPath,
	"add":     func(a, b int) int { return a + b },
}).ParseFS(files, "templates/*.html"))

// Write writes a page as an HTML document.
func (p Page) Write(out io.Writer) error { return templates.ExecuteTemplate(out, "page.html", p) }

// part renders a part of a page.
func part(id, name string, data any) (Part, error) {
	var html bytes.Buffer
	if err := templates.ExecuteTemplate(&html, name, data); err != nil {
		return Part{}, fmt.Errorf("render %s: %w", id, err)
	}
	return Part{id, template.HTML(html.String())}, nil //nolint:gosec // html/template wrote it
}

// parts renders several.
func parts(of ...func() (Part, error)) ([]Part, error) {
	all := make([]Part, len(of))
	for i, render := range of {
		var err error
		if all[i], err = render(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// News is what a stream says when the parts have changed since they were as before.
func News(before, now []Part) ([]byte, bool) {
	was := map[string]template.HTML{}
	for _, p := range before {
		was[p.ID] = p.HTML
	}
	var changed []Part
	for _, p := range now {
		if html, there := was[p.ID]; !there || html != p.HTML {
			changed = append(changed, p)
		}
	}
	if len(changed) == 0 {
		return nil, false
	}
	text, err := json.Marshal(changed)
	return text, err == nil // texts always are JSON
}

// Path is that of the page of a queue.
func Path(key queue.Key) string {
	return "/" + url.PathEscape(key.Namespace) + "/" + url.PathEscape(key.Repository)
}

// RunPath is that of the page of a run.
func RunPath(namespace, name string) string {
	return "/" + url.PathEscape(namespace) + "/runs/" + url.PathEscape(name)
}

// moment is a time as a page shows it: the text is right when the page is made, and the script
// keeps it right.
type moment struct {
	At  time.Time
	Now time.Time
}

func (m moment) text(of time.Duration) template.HTML {
	return template.HTML(template.HTMLEscapeString(report.Round(of))) //nolint:gosec // escaped
}

// ago renders how long ago something was.
func ago(m moment) template.HTML {
	if m.At.IsZero() {
		return "–"
	}
	return clock("ago", m.At) + m.text(m.Now.Sub(m.At)) + "</time>"
}

// soon is nearer than an estimate can tell.
const soon = 5 * time.Second

// in renders when something will be.
func in(m moment) template.HTML {
	if m.At.IsZero() {
		return "–"
	}
	if m.At.Sub(m.Now) < soon {
		return clock("in", m.At) + "any moment now</time>"
	}
	return clock("in", m.At) + "in about " + m.text(m.At.Sub(m.Now)) + "</time>"
}

func clock(kind string, at time.Time) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-%s>`, at.UTC().Format(time.RFC3339), kind)) //nolint:gosec // no text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
