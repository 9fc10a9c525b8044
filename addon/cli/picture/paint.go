package picture

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Painter turns boards into text for one output.
type Painter struct {
	plain, title, heading, faint, good, busy, alarm lipgloss.Style
}

// NewPainter returns a painter whose colours are those of the renderer's output.
// They are of the terminal's own sixteen, so that they suit its background.
func NewPainter(r *lipgloss.Renderer) *Painter {
	colour := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return &Painter{
		plain:   r.NewStyle(),
		title:   r.NewStyle().Bold(true),
		heading: colour("6").Bold(true),
		faint:   r.NewStyle().Faint(true),
		good:    colour("2"),
		busy:    colour("3"),
		alarm:   colour("1").Bold(true),
	}
}

const (
	// wide is from where the sections stand side by side.
	wide = 76
	// gap is between them then.
	gap = 3
	// mostEvents is how many lines of them are worth their space.
	mostEvents = 6
	// mostFree is how many free slots have a line of their own: a limit may be a
	// million.
	mostFree = 20
)

// Faint is a text that does not stand out.
func (p *Painter) Faint(text string) string { return p.faint.Render(text) }

// Paint makes a picture of at most width columns and height lines. It shows less
// of everything where there is not enough room, and less still until it fits.
func (p *Painter) Paint(b Picture, width, height int) string {
	width, height = max(width, 1), max(height, 1)
	lines := p.header(b, width)
	if height > len(lines) {
		lines = append(lines, "")
	}
	lines = append(lines, p.body(b, width, height-len(lines)+1)...) // its last line is blank
	lines = lines[:min(len(lines), height)]
	for i, line := range lines {
		lines[i] = strings.TrimRight(p.plain.MaxWidth(width).Render(line), " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// header is the title with the time, and how far things are.
func (p *Painter) header(b Picture, width int) []string {
	time := report.Tick(b.Now.Sub(b.Began))
	counts := []string{
		fmt.Sprintf("%d of %d done", len(b.In(queue.StateDone)), b.total()),
		fmt.Sprintf("%d started", len(b.In(queue.StateStarted))),
	}
	if claimed := len(b.In(queue.StateClaimed)); claimed > 0 {
		counts = append(counts, fmt.Sprintf("%d claimed", claimed))
	}
	counts = append(counts, fmt.Sprintf("%d queued", len(b.In(queue.StateQueued))))
	text := strings.Join(counts, ", ")
	line := text
	if bar := width - len(text) - 2; bar >= 10 {
		line = p.bar(b, min(bar, 40)) + "  " + text
	}
	return []string{p.title.Render(fit(b.Title, width-len(time)-1)) + " " + time, line}
}

// bar shows which part of all runs is done, and which is started.
func (p *Painter) bar(b Picture, width int) string {
	total := max(b.total(), 1)
	done := width * len(b.In(queue.StateDone)) / total
	started := width*(len(b.In(queue.StateDone))+len(b.In(queue.StateStarted)))/total - done
	return p.good.Render(strings.Repeat("█", done)) + p.busy.Render(strings.Repeat("▒", started)) +
		p.faint.Render(strings.Repeat("░", width-done-started))
}

// section is a heading and its rows.
type section struct {
	heading string
	rows    []row
	// most is how many rows are worth their space; zero means all.
	most int
	// newest says that the rows at the end are the ones to keep then.
	newest bool
}

// row is a line of three cells: a narrow one, one that takes the room there is,
// and one at the right edge.
type row struct {
	mark, text, right string
	style             lipgloss.Style
}

func (p *Painter) body(b Picture, width, height int) []string {
	slots, line, done, events := p.slots(b), p.line(b), p.done(b), p.events(b)
	if width < wide {
		var lines []string
		sections := []section{slots, line, done, events}
		for i, h := range share(height, sections) {
			lines = append(lines, p.paint(sections[i], width, h)...)
		}
		return lines
	}
	column := (width - 2*gap) / 3
	columns := []section{slots, line, done}
	tallest := slices.MaxFunc(columns, func(a, b section) int { return cmp.Compare(a.height(), b.height()) })
	heights := share(height, []section{tallest, events})
	var painted []string
	for i, s := range columns {
		text := strings.Join(p.paint(s, column, heights[0]), "\n")
		if i < len(columns)-1 {
			text = p.plain.Width(column + gap).Render(text)
		}
		painted = append(painted, text)
	}
	lines := strings.Split(lipgloss.JoinHorizontal(lipgloss.Top, painted...), "\n")
	if heights[0] == 0 {
		lines = nil
	}
	return append(lines, p.paint(events, width, heights[1])...)
}

func (s section) height() int {
	if len(s.rows) == 0 {
		return 0
	}
	rows := len(s.rows)
	if s.most > 0 {
		rows = min(rows, s.most)
	}
	return 2 + rows // with the line that keeps it apart
}

// share divides lines among sections: a heading and one row for each as long as
// there is room, in order, and then a row for each in turn.
func share(height int, sections []section) []int {
	heights := make([]int, len(sections))
	for i, s := range sections {
		if want := min(s.height(), 3); want > 0 && want <= height {
			heights[i] = want
			height -= want
		}
	}
	for gave := true; gave; {
		gave = false
		for i, s := range sections {
			if heights[i] > 0 && heights[i] < s.height() && height > 0 {
				heights[i]++
				height--
				gave = true
			}
		}
	}
	return heights
}

// paint makes a section, with the blank line that follows it, height lines tall.
func (p *Painter) paint(s section, width, height int) []string {
	if height < 3 || len(s.rows) == 0 {
		return nil
	}
	rows, heading := s.rows, s.heading
	if room := min(height, s.height()) - 2; room < len(rows) {
		heading = fmt.Sprintf("%s (%d of %d)", heading, room, len(rows))
		if s.newest {
			rows = rows[len(rows)-room:]
		} else {
			rows = rows[:room]
		}
	}
	lines := []string{p.heading.Render(fit(heading, width))}
	for _, r := range rows {
		fit := fit
		if r.right != "" {
			fit = fitName
		}
		text := fit(r.text, width-len(r.right)-lipgloss.Width(r.mark)-2)
		if r.right != "" {
			text += " " + r.right
		}
		lines = append(lines, r.style.Render(r.mark+" "+text))
	}
	return append(lines, "")
}

func (p *Painter) slots(b Picture) section {
	s := section{heading: "SLOTS"}
	held := map[int]Run{}
	var without []Run
	for _, r := range b.Runs {
		if r.State != queue.StateClaimed && r.State != queue.StateStarted {
			continue
		}
		if _, taken := held[r.Slot]; taken || r.Slot == queue.NoSlot {
			without = append(without, r)
			continue
		}
		held[r.Slot] = r
	}
	shown := slices.Collect(maps.Keys(held))
	for i := 0; i < int(b.Limit) && len(shown) < len(held)+mostFree; i++ {
		if _, taken := held[i]; !taken {
			shown = append(shown, i)
		}
	}
	slices.Sort(shown)
	digits, left := 1, int(b.Limit)
	if n := len(shown); n > 0 {
		digits = len(fmt.Sprint(shown[n-1]))
	}
	for _, i := range shown {
		if i < int(b.Limit) {
			left--
		}
		r, taken := held[i]
		mark := fmt.Sprintf("%*d ", digits, i)
		switch {
		case !taken:
			s.rows = append(s.rows, row{mark, "free", "", p.faint})
		case r.State == queue.StateClaimed:
			s.rows = append(s.rows, row{mark, r.Name, "claimed " + since(b, r), p.busy})
		case b.Limit != queue.Unlimited && i >= int(b.Limit):
			s.rows = append(s.rows, row{mark, r.Name, "over limit " + since(b, r), p.alarm})
		default:
			s.rows = append(s.rows, row{mark, r.Name, since(b, r), p.busy})
		}
	}
	if left > 0 {
		s.rows = append(s.rows, row{strings.Repeat(" ", digits+1), fmt.Sprintf("%d more free", left), "", p.faint})
	}
	for _, r := range without {
		s.rows = append(s.rows, row{strings.Repeat("-", digits) + " ", r.Name, "no slot " + since(b, r), p.busy})
	}
	return s
}

// line has the queued runs in order.
func (p *Painter) line(b Picture) section {
	s := section{heading: "QUEUE"}
	queued := b.In(queue.StateQueued)
	digits := len(fmt.Sprint(len(queued)))
	for i, r := range queued {
		mark := fmt.Sprintf("%*d ", digits, i+1)
		if !r.Placed {
			mark = fmt.Sprintf("%*s ", digits, "?")
		}
		s.rows = append(s.rows, row{mark, r.Name, since(b, r), p.plain})
	}
	if len(queued) == 0 {
		s.rows = []row{{"-", "no run waits", "", p.faint}}
	}
	return s
}

func (p *Painter) done(b Picture) section {
	s := section{heading: "DONE", newest: true}
	runs := b.In(queue.StateDone)
	slices.SortStableFunc(runs, func(a, b Run) int { return a.Since.Compare(b.Since) })
	if len(runs) == 0 {
		s.rows = []row{{"-", "nothing yet", "", p.faint}}
	}
	for _, r := range runs {
		if r.Outcome != report.Succeeded {
			s.rows = append(s.rows, row{"✗", r.Name, strings.TrimSpace(string(r.Outcome) + " " + took(r)), p.alarm})
		} else {
			s.rows = append(s.rows, row{"✓", r.Name, took(r), p.good})
		}
	}
	return s
}

func (p *Painter) events(b Picture) section {
	s := section{heading: "EVENTS", most: mostEvents, newest: true}
	for _, e := range b.Events {
		style := p.plain
		if e.Alarm {
			style = p.alarm
		}
		s.rows = append(s.rows, row{fmt.Sprintf("%6s ", "+"+report.Tick(e.At.Sub(b.Began))), e.Text, "", style})
	}
	return s
}

func since(b Picture, r Run) string { return report.Tick(b.Now.Sub(r.Since)) }

func took(r Run) string {
	if r.Took == 0 {
		return ""
	}
	return report.Tick(r.Took)
}

// fit makes text exactly width columns wide.
func fit(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if n := lipgloss.Width(text); n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	runes := []rune(text)
	for len(runes) > 0 && lipgloss.Width(string(runes))+1 > width {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// fitName does the same with the name of a run, which is all ASCII. What tells
// runs apart are the ends of their names: something in the middle goes.
func fitName(name string, width int) string {
	if len(name) <= width || width < 8 {
		return fit(name, width)
	}
	tail := width / 2
	return name[:width-tail-1] + "…" + name[len(name)-tail:]
}
