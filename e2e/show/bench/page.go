package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	_ "gonum.org/v1/plot/vg/vgsvg" // the format of the pictures
)

// labelled is a summary and the name under which it is kept.
type labelled struct {
	label string
	summary
}

// before is the label of what was measured before anything was changed.
const before = "before"

// labels orders what is kept: what was before comes first.
var labels = []string{before, "now"}

// readKept reads all summaries in a folder, in the order of labels, others behind.
func readKept(dir string) ([]labelled, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []labelled
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		l := labelled{label: strings.TrimSuffix(filepath.Base(file), ".json")}
		if err := json.Unmarshal(content, &l.summary); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, l)
	}
	rank := func(l labelled) int {
		if i := slices.Index(labels, l.label); i >= 0 {
			return i
		}
		return len(labels)
	}
	slices.SortFunc(all, func(a, b labelled) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.label, b.label)) })
	return all, nil
}

// titles of the contenders for people.
var titles = map[string]string{
	floorName: "floor", leaseName: "pac-lease-queue", pacName: "Pipelines-as-Code", kueueName: "like tekton-kueue",
}

// units follow the names of figures that need one.
var units = map[string]string{
	creating: ", s", p50: ", s", p95: ", s", p99: ", s", filling: ", s", restarting: ", s", perStart: ", s", memory: ", MiB",
}

// page renders docs/benchmarks.md.
func page(all []labelled) string {
	var out strings.Builder
	out.WriteString(`<!-- Made by make bench LABEL=now from docs/benchmarks. -->
# Benchmarks

` + "`make bench`" + ` measures the add-on beside three other queues, one after the other on one API
server:

- **floor** is a program that for every run that ends updates one Lease and starts the next run. It
  remembers everything, checks nothing and survives nothing: the least that any queue in Leases
  must do.
- **Pipelines-as-Code** is PAC's own queue, in the memory of one watcher, which also reports to
  Gitea.
- **like tekton-kueue** is a stand-in: the floor, which for every run makes as many further
  requests as tekton-kueue 0.x on Kueue 0.16.6 was measured to make, 13.6 writes and 24 events in
  all. It does not wait as Kueue does: as shipped, half of its runs waited for more than 1.07 s in
  a lone queue, and tuned for more than 73 ms.

etcd, the API server, PAC's controller, Gitea, the add-on and PAC's watcher are real. Each run is a
copy of one that PAC made for a push. Tekton is played, and so is PAC's watcher but for PAC's own
queue: a started run ends after its time, and PAC's mark follows. Everything shares the cores of
one machine, so times are long, and differ between machines; ratios hardly do. Where thousands of
runs wait, texts.perSecond is 1000 instead of 20: measuring begins once every run has its text,
which takes a quarter of an hour otherwise.

![How long a freed slot waits for its next start in the burst](benchmarks/pauses.svg)

![Starts per second in the burst](benchmarks/starts.svg)
`)
	for _, l := range all {
		fmt.Fprintf(&out, "\n## %s\n\n%s, %s:\n\n```console\nmake bench %s\n```\n",
			capitalized(strings.ReplaceAll(l.label, "-", " ")), l.Date, l.Machine, l.Settings)
		out.WriteString("\n| budget | seen | bound | |\n| --- | --- | --- | --- |\n")
		verdicts := l.judge()
		for _, v := range verdicts {
			fmt.Fprintf(&out, "| %s |\n", strings.Join(v.cells(), " | "))
		}
		if l.label != before {
			out.WriteString(reasons(verdicts))
		}
		for _, m := range measures {
			l.table(&out, m)
		}
	}
	return out.String()
}

// reasons says why budgets are missed; nothing if none is.
func reasons(verdicts []verdict) string {
	var missed strings.Builder
	for _, v := range verdicts {
		if !v.met && v.why != "" {
			fmt.Fprintf(&missed, "- **%s**:\n  %s\n", v.what, v.why)
		}
	}
	if missed.Len() == 0 {
		return ""
	}
	return "\nWhy budgets are missed:\n\n" + missed.String()
}

func capitalized(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// table renders the figures of one measure, a column for each contender.
func (s summary) table(out io.Writer, m measure) {
	var who []string
	figuresOf := map[string]bool{}
	for _, one := range m.of {
		if row := s.row(m.name, one); row != nil {
			who = append(who, one)
			for name := range row {
				figuresOf[name] = true
			}
		}
	}
	if len(who) == 0 {
		return
	}
	fmt.Fprintf(out, "\n### %s\n\n%s.\n\n| |", capitalized(m.name), capitalized(m.about))
	for _, one := range who {
		fmt.Fprintf(out, " %s |", titles[one])
	}
	fmt.Fprintf(out, "\n| --- |%s\n", strings.Repeat(" --- |", len(who)))
	for _, name := range slices.Sorted(maps.Keys(figuresOf)) {
		fmt.Fprintf(out, "| %s |", name+units[name])
		for _, one := range who {
			value, measured := s.row(m.name, one)[name]
			if text := number(value); measured {
				fmt.Fprintf(out, " %s |", text)
			} else {
				fmt.Fprint(out, " |")
			}
		}
		fmt.Fprintln(out)
	}
}

// draw makes the pictures of what is kept in a folder.
func draw(dir string, all []labelled) error {
	if len(all) == 0 {
		return nil
	}
	if err := drawPauses(filepath.Join(dir, "pauses.svg"), all); err != nil {
		return err
	}
	return drawStarts(filepath.Join(dir, "starts.svg"), all)
}

const width, height = 18 * vg.Centimeter, 10 * vg.Centimeter

// picture is an empty one.
func picture(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.Title.Padding = title, vg.Points(8)
	p.Legend.Padding, p.Legend.ThumbnailWidth = vg.Points(4), vg.Points(24)
	p.Legend.TextStyle.Font.Size = vg.Points(10)
	// The text is right of its sample, because a viewer's font may be wider than the one measured.
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs, p.Legend.YOffs = true, true, vg.Points(8), vg.Points(-8)
	return p
}

// drawPauses draws which part of the slots was taken again within which time.
func drawPauses(file string, all []labelled) error {
	p := picture("Freed slot to next start, many queues at once")
	p.X.Label.Text, p.Y.Label.Text = "seconds", "part of the starts, %"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Add(plotter.NewGrid())
	var lines []any
	for _, l := range all {
		for _, row := range l.Rows {
			if row.Measure != "burst" || len(row.Pauses) == 0 {
				continue
			}
			points := plotter.XYs{}
			for i, pause := range row.Pauses {
				points = append(points, plotter.XY{X: max(pause, 0.001), Y: float64(i)})
			}
			lines = append(lines, fmt.Sprintf("%s, %s", titles[row.Contender], l.label), points)
		}
	}
	if err := plotutil.AddLines(p, lines...); err != nil {
		return err
	}
	return p.Save(width, height, file)
}

// offset is where the bar of a contender is, so that all are around their tick.
func offset(i int) vg.Length { return (vg.Length(i) - vg.Length(len(order)-1)/2) * 1.1 * vg.Centimeter }

// drawStarts draws the starts per second in the burst.
func drawStarts(file string, all []labelled) error {
	p := picture("Starts per second, many queues at once")
	p.Y.Min = 0
	all = slices.DeleteFunc(slices.Clone(all), func(l labelled) bool {
		return !slices.ContainsFunc(order, func(who string) bool { return l.row("burst", who) != nil })
	})
	var ticks []string
	for i, who := range order {
		if !slices.ContainsFunc(all, func(l labelled) bool { return l.row("burst", who) != nil }) {
			continue
		}
		var values plotter.Values
		for _, l := range all {
			values = append(values, l.row("burst", who)[perSecond])
		}
		bars, err := plotter.NewBarChart(values, 1*vg.Centimeter)
		if err != nil {
			return err
		}
		bars.Color, bars.Offset = plotutil.Color(i), offset(i)
		p.Add(bars)
		p.Legend.Add(titles[who], bars)
	}
	for _, l := range all {
		ticks = append(ticks, l.label)
	}
	p.NominalX(ticks...)
	return p.Save(width, height, file)
}
