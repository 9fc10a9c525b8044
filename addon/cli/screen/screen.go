// Package screen shows boards on a program's output: on a terminal as one picture that is redrawn
// in place, elsewhere as a line per change.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/charmbracelet/lipgloss"
	"golang.org/x/term"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
)

// Control sequences that every terminal knows.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearAll   = "\x1b[2J\x1b[H"
	clearRight = "\x1b[K"
	clearBelow = "\x1b[J"
	up         = "\x1b[%dA"
)

// Screen shows boards. It is safe for concurrent use.
type Screen struct {
	out     io.Writer
	painter *picture.Painter
	size    func() (width, height int, err error) // nil where there is no terminal

	mu            sync.Mutex
	last          picture.Picture
	picture       string // what stands on the terminal; empty if nothing
	width, height int
}

// New returns a screen on a file, which may be a terminal.
func New(out *os.File) *Screen {
	s := &Screen{out: out}
	if fd := int(out.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		s.size = func() (int, int, error) { return term.GetSize(fd) }
		s.painter = picture.NewPainter(lipgloss.NewRenderer(out))
	}
	return s
}

// Lines returns a screen that prints a line per change, as without a terminal.
func Lines(out io.Writer) *Screen { return &Screen{out: out} }

// Live says whether boards are redrawn in place.
func (s *Screen) Live() bool { return s.size != nil }

// Say prints a line, or several, above the picture if there is one.
func (s *Screen) Say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	picture := s.picture
	s.erase()
	fmt.Fprintf(s.out, format+"\n", args...)
	if picture != "" {
		s.draw()
	}
}

// Show shows the picture instead of the one before.
func (s *Screen) Show(b picture.Picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size == nil {
		for _, line := range picture.Changes(s.last, b) {
			fmt.Fprintln(s.out, line)
		}
		s.last = b
		return
	}
	s.last = b
	s.draw()
}

// Close leaves the last picture where it stands. It may be called more than once.
func (s *Screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.picture != "" {
		fmt.Fprint(s.out, "\n"+showCursor)
		s.picture = ""
	}
}

// draw replaces the picture.
func (s *Screen) draw() {
	width, height, err := s.size()
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	var b strings.Builder
	switch {
	case s.picture == "":
		b.WriteString(hideCursor)
	case width != s.width || height != s.height:
		b.WriteString(clearAll) // rewrapped lines may be anywhere
	default:
		b.WriteString(s.home())
	}
	s.width, s.height = width, height
	// The last column and the last line stay free: some terminals wrap or scroll
	// as soon as they are written to.
	s.picture = s.painter.Paint(s.last, width-1, height-1)
	b.WriteString(strings.ReplaceAll(s.picture, "\n", clearRight+"\n") + clearRight + clearBelow)
	fmt.Fprint(s.out, b.String())
}

// erase removes the picture; what is printed next stands in its place.
func (s *Screen) erase() {
	if s.picture != "" {
		fmt.Fprint(s.out, s.home()+clearBelow+showCursor)
		s.picture = ""
	}
}

// home moves to the beginning of the picture.
func (s *Screen) home() string {
	if n := strings.Count(s.picture, "\n"); n > 0 {
		return "\r" + fmt.Sprintf(up, n)
	}
	return "\r"
}
