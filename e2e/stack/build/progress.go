package build

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// waiting is what goes on when another process builds the same program.
const waiting = "waiting for another process that builds"

// reportEvery is the longest silence while something is being built.
const reportEvery = 15 * time.Second

// progress tells a person who waits what is being built, for how long already, and what is left. On
// a terminal one line is rewritten every second; elsewhere lines follow each other.
type progress struct {
	log  func(format string, args ...any)
	live bool

	mu       sync.Mutex
	left     []program
	total    int
	doing    string
	since    time.Time
	packages int
	began    time.Time
	closing  chan struct{}
	closed   sync.WaitGroup
}

func newProgress(log func(string, ...any), missing []program) *progress {
	p := &progress{log: log, left: missing, total: len(missing), began: time.Now(), closing: make(chan struct{})}
	if log == nil {
		p.live = term.IsTerminal(int(os.Stderr.Fd()))
		p.log = func(format string, args ...any) {
			if p.live {
				format = "\r\033[K" + format
			}
			fmt.Fprintf(os.Stderr, format+"\n", args...)
		}
	}
	if p.total == 0 {
		return p
	}
	every := reportEvery
	if p.live {
		every = time.Second
	}
	p.closed.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-p.closing:
				return
			case <-tick.C:
				p.report()
			}
		}
	})
	return p
}

func (p *progress) stop() {
	close(p.closing)
	p.closed.Wait()
}

// start notes what goes on for a program.
func (p *progress) start(b program, doing string) {
	p.mu.Lock()
	p.doing, p.since, p.packages = doing, time.Now(), 0
	p.mu.Unlock()
	if doing != waiting {
		p.report()
	}
}

// compiled counts one more package.
func (p *progress) compiled() {
	p.mu.Lock()
	p.packages++
	p.mu.Unlock()
}

// done notes that a program is there, how ever it came about.
func (p *progress) done(b program, how string) {
	p.mu.Lock()
	took := time.Since(p.since)
	p.left = p.left[1:]
	n := p.total - len(p.left)
	p.mu.Unlock()
	p.log(how+" %s in %s (%d of %d)", b.title(), took.Round(time.Second), n, p.total)
}

func (p *progress) report() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.left) == 0 || p.doing == "" {
		return
	}
	now := p.left[0]
	rest := "last one"
	if len(p.left) > 1 {
		rest = "left: " + names(p.left[1:])
	}
	line := fmt.Sprintf("%s %s (%d of %d): %s, %d packages compiled; %s; %s in all", p.doing, now.title(),
		p.total-len(p.left)+1, p.total, time.Since(p.since).Round(time.Second), p.packages, rest, time.Since(p.began).Round(time.Second))
	if p.live {
		if width, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && len(line) >= width {
			line = line[:width-1]
		}
		fmt.Fprint(os.Stderr, "\r\033[K"+line)
		return
	}
	p.log("%s", line)
}

func names(programs []program) string {
	var s []string
	for _, p := range programs {
		s = append(s, string(p.name))
	}
	return strings.Join(s, ", ")
}
