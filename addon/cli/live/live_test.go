package live

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// many is a queue in which so many runs wait.
func many(runs int) picture.Picture {
	began := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	b := picture.Picture{Title: "Queue shop/shop", Limit: 1, Began: began, Now: began.Add(time.Minute)}
	for i := range runs {
		b.Runs = append(b.Runs, picture.Run{
			Name: fmt.Sprintf("run-%03d", i), State: queue.StateQueued, Slot: queue.NoSlot, Placed: true, Since: began,
		})
	}
	return b
}

func press(m tea.Model, keys ...string) tea.Model {
	for _, name := range keys {
		message := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
		switch name {
		case "down":
			message = tea.KeyMsg{Type: tea.KeyDown}
		case "end":
			message = tea.KeyMsg{Type: tea.KeyEnd}
		case "home":
			message = tea.KeyMsg{Type: tea.KeyHome}
		}
		m, _ = m.Update(message)
	}
	return m
}

// TestScroll: all runs can be reached by keys, and a new picture leaves the reader where they are.
func TestScroll(t *testing.T) {
	var m tea.Model = newModel(picture.NewPainter(lipgloss.NewRenderer(io.Discard)))
	if m.View() != "looking…" {
		t.Errorf("before the first picture:\n%s", m.View())
	}
	m, _ = m.Update(tea.WindowSizeMsg{Width: 60, Height: 20})
	m, _ = m.Update(many(100))
	sees := func(when string, want, not string) {
		t.Helper()
		view := m.View()
		if !strings.Contains(view, want) || strings.Contains(view, not) {
			t.Errorf("%s: want %q and no %q in:\n%s", when, want, not, view)
		}
		if lines := strings.Count(view, "\n") + 1; lines > 20 {
			t.Errorf("%s: %d lines on a terminal of 20", when, lines)
		}
	}
	sees("at the top", "run-000", "run-099")
	sees("at the top", "q quits", "run-099")
	m = press(m, "end")
	sees("at the end", "run-099", "run-000")
	m, _ = m.Update(many(101))
	sees("after a new picture", "run-099", "run-000")
	m = press(m, "home", "down", "down")
	sees("two lines down", "run-000", "Queue shop/shop")
	m, _ = m.Update(wrong("the API server does not answer; trying again"))
	sees("while nothing is seen", "the API server does not answer", "q quits")
	m, _ = m.Update(many(3))
	sees("with few runs", "run-002", "scroll")
	if _, quit := m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q")}); quit == nil {
		t.Error("q does not quit")
	}
}
