// Package live shows a picture of a queue on a terminal until the user quits: as much of it as
// fits, with keys to scroll to the rest.
package live

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/viewport"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/pac-lease-queue/pac-lease-queue/addon/cli/picture"
)

// Follow calls show for each new picture, and say for what goes wrong meanwhile, until its context
// ends. Its error ends the show.
type Follow func(ctx context.Context, show func(picture.Picture), say func(string)) error

// Run shows pictures until the user quits, the context ends or follow returns. The last picture
// stays on the terminal.
func Run(ctx context.Context, in io.Reader, out *os.File, follow Follow) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	m := newModel(picture.NewPainter(lipgloss.NewRenderer(out)))
	program := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithAltScreen())
	followed := make(chan error, 1)
	go func() {
		followed <- follow(ctx, func(b picture.Picture) { program.Send(b) }, func(text string) { program.Send(wrong(text)) })
		program.Quit()
	}()
	last, err := program.Run()
	stop()
	if failed := <-followed; failed != nil {
		return failed
	}
	if is, ok := last.(model); ok && is.shown {
		_, _ = io.WriteString(out, is.painter.Paint(is.picture, is.view.Width, is.view.Height)+"\n")
	}
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// wrong is what went wrong at the last look.
type wrong string

// model is what is on the terminal.
type model struct {
	painter *picture.Painter
	picture picture.Picture
	shown   bool // there is a picture
	wrong   wrong
	view    viewport.Model
	keys    keys
}

type keys struct{ quit, top, bottom key.Binding }

func newModel(p *picture.Painter) model {
	return model{painter: p, view: viewport.New(80, 23), keys: keys{
		quit:   key.NewBinding(key.WithKeys("q", "esc", "ctrl+c")),
		top:    key.NewBinding(key.WithKeys("g", "home")),
		bottom: key.NewBinding(key.WithKeys("G", "end")),
	}}
}

// Init implements tea.Model.
func (model) Init() tea.Cmd { return nil }

// Update implements tea.Model.
func (m model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case picture.Picture:
		m.picture, m.shown, m.wrong = message, true, ""
	case wrong:
		m.wrong = message
	case tea.WindowSizeMsg:
		m.view.Width, m.view.Height = message.Width, max(1, message.Height-1) // the last line is for the keys
	case tea.KeyMsg:
		switch {
		case key.Matches(message, m.keys.quit):
			return m, tea.Quit
		case key.Matches(message, m.keys.top):
			m.view.GotoTop()
		case key.Matches(message, m.keys.bottom):
			m.view.GotoBottom()
		}
	}
	if m.shown {
		painted := m.painter.Paint(m.picture, m.view.Width, whole)
		m.view.SetContent(painted)
		if strings.Count(painted, "\n") < m.view.Height {
			m.view.GotoTop() // all of it fits
		}
	}
	var command tea.Cmd
	m.view, command = m.view.Update(message)
	return m, command
}

// whole is the height of a picture that leaves nothing out.
const whole = 1 << 20

// View implements tea.Model.
func (m model) View() string {
	switch {
	case !m.shown && m.wrong == "":
		return "looking…"
	case !m.shown:
		return string(m.wrong)
	}
	return m.view.View() + "\n" + m.painter.Faint(m.help())
}

// help is the last line: what went wrong, or the keys that do something now.
func (m model) help() string {
	switch {
	case m.wrong != "":
		return string(m.wrong)
	case m.view.TotalLineCount() > m.view.Height:
		return "↑↓ scroll, space and b a page, g and G to the ends, q quits"
	default:
		return "q quits"
	}
}
