package screen

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

var began = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func pictured(state queue.State) picture.Picture {
	return picture.Picture{
		Title: "Queue", Limit: 1, Began: began, Now: began,
		Runs: []picture.Run{{Name: "run-01", Placed: true, State: state, Since: began, Outcome: report.Succeeded}},
	}
}

func TestLinesWhereThereIsNoTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := New(w)
	if s.Live() {
		t.Fatal("a pipe is taken for a terminal")
	}
	s.Say("hello")
	for _, state := range []queue.State{queue.StateQueued, queue.StateQueued, queue.StateClaimed, queue.StateStarted, queue.StateDone} {
		s.Show(pictured(state))
	}
	s.Close()
	w.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `hello
+0.0s    run-01 queued, position 1
+0.0s    run-01 started in slot 0 after waiting 0.0s; 1 started (limit 1), 0 queued
+0.0s    run-01 succeeded after 0.0s; 1 of 1 done
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// terminal is enough of one to tell where lines end up.
type terminal struct {
	bytes.Buffer
	width, height int
}

func (t *terminal) screen() *Screen {
	return &Screen{
		out: t, painter: picture.NewPainter(lipgloss.NewRenderer(io.Discard)),
		size: func() (int, int, error) { return t.width, t.height, nil },
	}
}

// lines is what stands on the terminal.
func (t *terminal) lines() []string {
	var lines []string
	row := 0
	put := func(text string) {
		for len(lines) <= row {
			lines = append(lines, "")
		}
		lines[row] += text
	}
	for text := t.String(); text != ""; {
		switch {
		case strings.HasPrefix(text, clearAll):
			lines, row, text = nil, 0, text[len(clearAll):]
		case strings.HasPrefix(text, clearBelow):
			put("")
			lines, text = lines[:row+1], text[len(clearBelow):]
		case strings.HasPrefix(text, clearRight), strings.HasPrefix(text, hideCursor), strings.HasPrefix(text, showCursor):
			text = text[strings.IndexAny(text, "Klh")+1:]
		case strings.HasPrefix(text, "\x1b["):
			end := strings.Index(text, "A")
			for _, digit := range text[2:end] {
				row -= int(digit - '0') // of less than ten
			}
			text = text[end+1:]
		case text[0] == '\n':
			put("")
			row, text = row+1, text[1:]
		case text[0] == '\r':
			put("")
			text = text[1:]
		default:
			put("")
			end := strings.IndexAny(text, "\x1b\r\n")
			if end < 0 {
				end = len(text)
			}
			lines[row] = "" // it is written over, and cleared to its end
			put(text[:end])
			text = text[end:]
		}
	}
	return lines
}

func TestRedrawnInPlace(t *testing.T) {
	terminal := &terminal{width: 100, height: 12}
	s := terminal.screen()
	s.Say("before")
	s.Show(pictured(queue.StateQueued))
	s.Show(pictured(queue.StateStarted))
	s.Say("meanwhile")
	s.Show(pictured(queue.StateDone))
	s.Close()
	s.Close()
	s.Say("after")
	want := []string{
		"before", "meanwhile",
		"Queue" + strings.Repeat(" ", 90) + "0.0s",
		strings.Repeat("█", 40) + "  1 of 1 done, 0 started, 0 queued",
		"",
		"SLOTS                             QUEUE                             DONE",
		"0  free                           - no run waits                    ✓ run-01",
		"after",
	}
	got := terminal.lines()
	for i := range got {
		got[i] = strings.TrimRight(got[i], " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("terminal (-want +got):\n%s", diff)
	}
	if text := terminal.String(); strings.LastIndex(text, showCursor) < strings.LastIndex(text, hideCursor) {
		t.Error("the cursor stays hidden")
	}
}

func TestResizedTerminalIsCleared(t *testing.T) {
	terminal := &terminal{width: 100, height: 30}
	s := terminal.screen()
	s.Show(pictured(queue.StateStarted))
	terminal.width, terminal.height = 50, 6
	s.Show(pictured(queue.StateStarted))
	got := terminal.lines()
	if len(got) > 5 {
		t.Errorf("a terminal of 6 lines shows %d: %q", len(got), got)
	}
}
