package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// result is what one round measured of a contender.
type result struct {
	measure, contender string
	figures            figures
	pauses             []time.Duration
}

// note keeps figures, and keep the pauses behind them.
func (b *bench) note(m measure, who string, f figures) {
	for i := range b.results {
		if r := &b.results[i]; r.measure == m.name && r.contender == who && r.figures == nil {
			r.figures = f
			return
		}
	}
	b.results = append(b.results, result{measure: m.name, contender: who, figures: f})
}

func (b *bench) keep(m measure, who string, sorted []time.Duration) {
	b.results = append(b.results, result{measure: m.name, contender: who, pauses: sorted})
}

// summary is what all rounds measured, as docs/benchmarks keeps it.
type summary struct {
	Settings string  `json:"settings"`
	Machine  string  `json:"machine"`
	Date     string  `json:"date"`
	Rows     []entry `json:"rows"`
}

// entry has the medians of one contender in one measure, and quantiles of its pauses.
type entry struct {
	Measure   string    `json:"measure"`
	Contender string    `json:"contender"`
	Figures   figures   `json:"figures"`
	Pauses    []float64 `json:"pauses,omitempty"` // in seconds, at every hundredth of the runs
}

// sum takes the medians of all rounds.
func (b *bench) sum() summary {
	s := summary{
		Settings: b.Settings, Machine: fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), runtime.GOARCH, runtime.GOOS),
		Date: time.Now().UTC().Format(time.DateOnly),
	}
	for _, m := range measures {
		for _, who := range order {
			values, pauses := map[string][]float64{}, []time.Duration{}
			for _, r := range b.results {
				if r.measure != m.name || r.contender != who {
					continue
				}
				for name, value := range r.figures {
					values[name] = append(values[name], value)
				}
				pauses = append(pauses, r.pauses...)
			}
			if len(values) == 0 {
				continue
			}
			row := entry{Measure: m.name, Contender: who, Figures: figures{}}
			for name, list := range values {
				slices.Sort(list)
				row.Figures[name] = list[len(list)/2]
			}
			slices.Sort(pauses)
			for i := range 101 {
				if len(pauses) > 0 {
					row.Pauses = append(row.Pauses, quantile(pauses, float64(i)/100).Seconds())
				}
			}
			s.Rows = append(s.Rows, row)
		}
	}
	return s
}

// row returns the figures of a contender in a measure, or nil.
func (s summary) row(m, who string) figures {
	for _, r := range s.Rows {
		if r.Measure == m && r.Contender == who {
			return r.Figures
		}
	}
	return nil
}

// budget is what the product is held to.
type budget struct {
	what string
	// of returns the value, or false if it was not measured.
	of    func(summary) (float64, bool)
	most  float64
	least bool // the value is to be at least that
	unit  string
	// why tells people why the product misses the budget. The page has it only if it does.
	why string
}

// verdict is what became of a budget.
type verdict struct {
	budget
	value float64
	met   bool
}

// ratio compares a figure of the product with the same one of another contender.
func ratio(m, figure, other string) func(summary) (float64, bool) {
	return func(s summary) (float64, bool) {
		ours, theirs := s.row(m, leaseName), s.row(m, other)
		if ours == nil || theirs == nil || theirs[figure] == 0 {
			return 0, false
		}
		return ours[figure] / theirs[figure], true
	}
}

// plain is a figure of the product itself.
func plain(m, figure string) func(summary) (float64, bool) {
	return func(s summary) (float64, bool) {
		value, ok := s.row(m, leaseName)[figure]
		return value, ok
	}
}

// requestsPer adds up requests per run of the product in the burst.
func requestsPer(kinds ...string) func(summary) (float64, bool) {
	return func(s summary) (sum float64, ok bool) {
		row := s.row("burst", leaseName)
		for _, kind := range kinds {
			sum += row[requestsOf+kind]
		}
		return sum, row != nil
	}
}

var budgets = []budget{
	{
		what: "burst: starts per second, against the floor", of: ratio("burst", perSecond, floorName), most: 0.8, least: true, unit: "×",
		why: `the API server takes three quarters of the machine, so what each run costs it decides. The
  floor asks it for two writes. With the add-on, each write to a run also passes the hold and the
  guard (without them, 1.2 times as many runs start per second), two replicas watch every run and
  take 0.3 of a core, and up to twenty texts a second are written meanwhile.`,
	},
	{what: "burst: freed slot to next start, p50, against the floor", of: ratio("burst", p50, floorName), most: 1.5, unit: "×"},
	{what: "burst: freed slot to next start, p99, against the floor", of: ratio("burst", p99, floorName), most: 2, unit: "×"},
	{what: "lone queue: freed slot to next start, p50, against the floor", of: ratio("lone", p50, floorName), most: 2, unit: "×"},
	{what: "lone queue: freed slot to next start, p99, against the floor", of: ratio("lone", p99, floorName), most: 4, unit: "×"},
	// Before its first claim, each queue reads its Repository once. A refused write reads, too.
	{what: "burst: runs and slots read, per run", of: requestsPer("get pipelineruns", "get leases"), most: 0.01},
	{
		what: "burst: queues taken over while their leader works", of: plain("burst", takenOver), most: 0,
		why: `on a machine this busy, requests take longer than the second for which a leader may write
  nothing. The others find that out in the first queues that they take over.`,
	},
	{
		what: fmt.Sprintf("a limit rises to %d: until all are started, against the floor", wideLimit),
		of:   ratio("fill", filling, floorName), most: 2, unit: "×",
		why: `the order of claims is that of their writes, so each of them is answered before the next
  one is made. The floor makes sixteen at a time, in no order.`,
	},
	{
		what: fmt.Sprintf("long queue: CPU of a start, against one in a queue of %d", shortLine), of: longAgainstShort, most: 2, unit: "×",
		why: `each look goes through all runs that wait, though it parses only those that have changed.`,
	},
	{what: "idle, 10,000 queued: a replica's part of a core", of: idleWith(cores, 0, 10_000), most: 0.01},
	{
		what: "idle, 10,000 queued: memory of the larger replica", of: idleWith(memory, 0, 10_000), most: 100, unit: "MiB",
		why: `about 55 MiB are pages of the program's file, which the kernel takes back when it needs
  them. The caches and what else is allocated take the rest.`,
	},
	{what: "idle, 100,000 queued: memory of the larger replica", of: idleWith(memory, 10_000, 100_000), most: 400, unit: "MiB"},
	{what: "death of the leader: freed slot to next start, p95", of: plain("death", p95), most: 1.5, unit: "s"},
	{what: "board, 1,000 open pages: until a change shows, p50", of: plain("board", p50), most: 2, unit: "s"},
	{what: "board, 1,000 open pages, 10,000 queued: its memory", of: plain("board", memory), most: 150, unit: "MiB"},
	{what: "board: requests to the API server per page that is opened", of: plain("board", perPage), most: 0.01},
}

// idleWith is a figure of idle replicas with more than some runs queued, and no more than others.
func idleWith(figure string, more, most float64) func(summary) (float64, bool) {
	return func(s summary) (float64, bool) {
		row := s.row("idle", leaseName)
		value, ok := row[figure]
		return value, ok && more < row[queued] && row[queued] <= most
	}
}

func longAgainstShort(s summary) (float64, bool) {
	long, short := s.row("long", leaseName), s.row("short", leaseName)
	if long == nil || short[perStart] == 0 {
		return 0, false
	}
	return long[perStart] / short[perStart], true
}

// judge says what became of each budget that was measured.
func (s summary) judge() []verdict {
	var all []verdict
	for _, b := range budgets {
		value, ok := b.of(s)
		if !ok {
			continue
		}
		met := value <= b.most
		if b.least {
			met = value >= b.most
		}
		all = append(all, verdict{b, value, met})
	}
	return all
}

// cells are those of a table: the budget, what was seen, the bound, and what became of it.
func (v verdict) cells() []string {
	bound, outcome := "at most", "missed"
	if v.least {
		bound = "at least"
	}
	if v.met {
		outcome = "met"
	}
	return []string{
		v.what, strings.TrimSpace(fmt.Sprintf("%s %s", number(v.value), v.unit)),
		strings.TrimSpace(fmt.Sprintf("%s %s %s", bound, number(v.most), v.unit)), outcome,
	}
}

// text is the report for a terminal.
func (s summary) text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "BENCH  %s\n%s\n\n", s.Settings, s.Machine)
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, r := range s.Rows {
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Measure, r.Contender, r.Figures.line())
	}
	fmt.Fprintln(table)
	for _, v := range s.judge() {
		fmt.Fprintln(table, strings.Join(v.cells(), "\t"))
	}
	table.Flush()
	return out.String()
}

// line writes the figures in the order of their names, but for the requests, which follow.
func (f figures) line() string {
	var plain, requests []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if kind, is := strings.CutPrefix(name, requestsOf); is {
			requests = append(requests, number(f[name])+" "+kind)
		} else if !strings.HasPrefix(name, refusedOf) {
			plain = append(plain, name+" "+number(f[name]))
		}
	}
	if len(requests) > 0 {
		plain = append(plain, "requests per run: "+strings.Join(requests, ", "))
	}
	return strings.Join(plain, "; ")
}

// number writes a value with the digits that matter.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// folder is where figures are kept, and document what is made of them, below the root of the
// project.
const folder, document = "docs/benchmarks", "docs/benchmarks.md"

// write keeps the figures under a label, and renews the document.
func (s summary) write(label string) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Join(root, filepath.FromSlash(folder))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, label+".json"), append(content, '\n'), 0o644); err != nil {
		return err
	}
	return render(root)
}

// render makes the document and its pictures of what is kept.
func render(root string) error {
	dir := filepath.Join(root, filepath.FromSlash(folder))
	all, err := readKept(dir)
	if err != nil {
		return err
	}
	if err := draw(dir, all); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, filepath.FromSlash(document)), []byte(page(all)), 0o644)
}
