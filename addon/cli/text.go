package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// listTable is the table of list. Columns of priority 1 are for -o wide.
func listTable(queues []inspect.Queue, withNamespace bool) *metav1.Table {
	t := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{
		{Name: "Repository"},
		{Name: "Limit"},
		{Name: "Queued"},
		{Name: "Claimed"},
		{Name: "Started"},
		{Name: "Oldest"},
		{Name: "State"},
		{Name: "Next", Priority: 1},
		{Name: "Why", Priority: 1},
	}}
	if withNamespace {
		t.ColumnDefinitions = append([]metav1.TableColumnDefinition{{Name: "Namespace"}}, t.ColumnDefinitions...)
	}
	for _, q := range queues {
		var oldest time.Time
		next, why := none, none
		for _, is := range q.Runs {
			if is.State() != queue.StateQueued {
				continue
			}
			if oldest.IsZero() || is.Run.Created.Before(oldest) {
				oldest = is.Run.Created
			}
			if next == none {
				next, why = is.Run.Name, q.Why(is, report.At(q.Now))
			}
		}
		cells := []any{
			q.Key().Repository, limitText(q), q.Count(queue.StateQueued), q.Count(queue.StateClaimed), q.Count(queue.StateStarted),
			age(q.Now, oldest), stateOf(q), next, why,
		}
		if withNamespace {
			cells = append([]any{q.Key().Namespace}, cells...)
		}
		t.Rows = append(t.Rows, metav1.TableRow{Cells: cells})
	}
	return t
}

// stateOf is a queue in a word, as its RunQueue has it, as far as can be seen from outside.
func stateOf(q inspect.Queue) v1alpha1.State {
	switch {
	case q.Spec.Paused:
		return v1alpha1.StatePaused
	case len(q.Runs) > 0:
		return v1alpha1.StateRunning
	default:
		return v1alpha1.StateIdle
	}
}

func printTable(out io.Writer, t *metav1.Table, wide, noHeaders bool) error {
	return printers.NewTablePrinter(printers.PrintOptions{Wide: wide, NoHeaders: noHeaders}).PrintObj(t, out)
}

// none stands for nothing in a table.
const none = "-"

func limitText(q inspect.Queue) string {
	if q.Missing {
		return string(queue.NoRepository)
	}
	return q.Limit.String()
}

func age(now, t time.Time) string {
	if t.IsZero() {
		return none
	}
	return report.Round(now.Sub(t))
}

// describe prints a queue.
func describe(out io.Writer, q inspect.Queue) error {
	w := newFields(out)
	w.field("Repository", q.Key().String())
	w.field("Limit", limitText(q))
	if q.Spec.Paused {
		w.field("Paused", cmp.Or(q.Spec.PausedBy, "yes"))
	}
	w.field("Queued", fmt.Sprint(q.Count(queue.StateQueued)))
	w.field("Claimed", fmt.Sprint(q.Count(queue.StateClaimed)))
	w.field("Started", fmt.Sprint(q.Count(queue.StateStarted)))
	w.field("Typical run", typical(q))
	for i, p := range q.Troubles() {
		w.field([]string{"Problems", ""}[min(i, 1)], p)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := section(out, "Slots", slotTable(q)); err != nil {
		return err
	}
	return section(out, "Queue", lineTable(q))
}

func typical(q inspect.Queue) string {
	if q.Of == 0 {
		return "not known yet"
	}
	return fmt.Sprintf("%s (the last %d, by the median)", report.Round(q.Typical), q.Of)
}

// slotTable has what occupies the limit: slots, and started runs without one.
func slotTable(q inspect.Queue) *metav1.Table {
	t := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Slot"}, {Name: "Run"}, {Name: "State"}, {Name: "For"}}}
	row := func(cells ...any) { t.Rows = append(t.Rows, metav1.TableRow{Cells: cells}) }
	for _, s := range q.Snapshot.Slots {
		switch {
		case s.Damaged != "":
			row(s.Index, none, "cannot be read", none)
			continue
		case s.Holder == nil:
			row(s.Index, none, "free", none)
			continue
		}
		is, stands := q.Standing(s.Holder.Name)
		switch {
		case !stands || is.Run.UID != s.Holder.UID:
			row(s.Index, s.Holder.Name, queue.StateDone, age(q.Now, q.Acquired[s.Index]))
		case is.State() == queue.StateStarted && !is.Run.Began.IsZero(): // Tekton says so a moment later
			row(s.Index, s.Holder.Name, queue.StateStarted, age(q.Now, is.Run.Began))
		default:
			row(s.Index, s.Holder.Name, is.State(), age(q.Now, q.Acquired[s.Index]))
		}
	}
	for _, is := range q.Runs {
		if is.State() == queue.StateStarted && is.Slot == queue.NoSlot {
			row(none, is.Run.Name, queue.StateStarted, age(q.Now, is.Run.Began))
		}
	}
	return t
}

// lineTable has the queued runs, and the claimed ones whose start is not a matter of moments.
func lineTable(q inspect.Queue) *metav1.Table {
	t := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{
		{Name: "Position"},
		{Name: "Run"},
		{Name: "Age"},
		{Name: "Starts in"},
		{Name: "Why"},
	}}
	for _, is := range q.Runs {
		state := is.State()
		if state == queue.StateStarted || state == queue.StateClaimed && is.Why == queue.Due {
			continue
		}
		position := any(none)
		if is.Position > 0 {
			position = is.Position
		}
		t.Rows = append(t.Rows, metav1.TableRow{Cells: []any{
			position, is.Run.Name, age(q.Now, is.Run.Created), startsIn(q, is),
			string(is.Why),
		}})
	}
	return t
}

func startsIn(q inspect.Queue, is queue.Standing) string {
	turn, known := q.Turns[is.Run.UID]
	if !known {
		return none
	}
	return "about " + report.Round(turn.Sub(q.Now))
}

func section(out io.Writer, heading string, t *metav1.Table) error {
	if len(t.Rows) == 0 {
		_, err := fmt.Fprintf(out, "\n%s:  none\n", heading)
		return err
	}
	var table strings.Builder
	if err := printTable(&table, t, false, false); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "\n%s:\n", heading); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintf(out, "  %s\n", strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// namesBefore is how many of the runs before another are named.
const namesBefore = 5

// describeRun prints the state of a run.
func describeRun(out io.Writer, q inspect.Queue, is queue.Standing, events []corev1.Event) error {
	w := newFields(out)
	w.field("Run", q.Key().Namespace+"/"+is.Run.Name)
	w.field("Repository", q.Key().Repository+" (limit "+limitText(q)+")")
	state := string(is.State())
	if is.Position > 0 {
		state += fmt.Sprintf(", position %d of %d", is.Position, q.Waiting)
	}
	w.field("State", state)
	w.field("Why", q.Why(is, report.At(q.Now)))
	if is.Run.Priority != (queue.Priority{}) {
		w.field("Priority", is.Run.Priority.String())
	}
	w.field("Created", age(q.Now, is.Run.Created)+" ago")
	if turn := startsIn(q, is); turn != none {
		w.field("Starts in", fmt.Sprintf("%s: %s", turn, "the last runs took "+typical(q)))
	}
	if before := before(q, is); before != "" {
		w.field("Before it", before)
	}
	if is.Run.Attempt > 0 {
		w.field("Attempts", fmt.Sprintf("%d failed", is.Run.Attempt))
	}
	for i, p := range is.Run.Problems {
		w.field([]string{"Problems", ""}[min(i, 1)], p)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return section(out, "Events", eventTable(q.Now, events))
}

// describeDone prints how a run ended.
func describeDone(out io.Writer, key queue.Key, d inspect.Done, now time.Time, events []corev1.Event) error {
	w := newFields(out)
	w.field("Run", key.Namespace+"/"+d.Name)
	w.field("Repository", key.Repository)
	state := fmt.Sprintf("%s: %s", queue.StateDone, d.Outcome)
	if !d.Ended.IsZero() {
		state += ", " + age(now, d.Ended) + " ago"
	}
	w.field("State", state)
	w.field("Created", age(now, d.Created)+" ago")
	if !d.Began.IsZero() {
		w.field("Waited", report.Round(d.Began.Sub(d.Created)))
		w.field("Ran", report.Round(d.Ended.Sub(d.Began)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return section(out, "Events", eventTable(now, events))
}

// before names the runs in line before another.
func before(q inspect.Queue, is queue.Standing) string {
	var names []string
	for _, other := range q.Runs {
		if other.Position > 0 && other.Position < is.Position {
			names = append(names, other.Run.Name)
		}
	}
	if n := len(names); n > namesBefore {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namesBefore], ", "), n-namesBefore)
	}
	return strings.Join(names, ", ")
}

func eventTable(now time.Time, events []corev1.Event) *metav1.Table {
	t := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{
		{Name: "Age"},
		{Name: "Type"},
		{Name: "Reason"},
		{Name: "Message"},
	}}
	for _, e := range events {
		t.Rows = append(t.Rows, metav1.TableRow{Cells: []any{age(now, e.LastTimestamp.Time), e.Type, e.Reason, e.Message}})
	}
	return t
}

// fieldWriter writes "Name:  value" lines, aligned.
type fieldWriter struct{ *tabwriter.Writer }

func newFields(out io.Writer) fieldWriter {
	return fieldWriter{tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)}
}

func (w fieldWriter) field(name, value string) {
	if name != "" {
		name += ":"
	}
	fmt.Fprintf(w, "%s\t%s\n", name, value) // Flush tells of errors
}
