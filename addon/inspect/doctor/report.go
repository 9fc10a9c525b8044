package doctor

import (
	"errors"
	"fmt"
	"io"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// Finding is one thing that is wrong, or may be.
type Finding struct {
	// Check is the name of what found it.
	Check string `json:"check"`
	// Where is the object that it is about.
	Where string `json:"where"`
	// What is wrong, and what the operator should Do.
	What string `json:"what"`
	Do   string `json:"do"`
	// Repair is what --fix does, if it can.
	Repair *Repair `json:"repair,omitempty"`
	// Warning says that nothing is known to be wrong yet.
	Warning bool `json:"warning,omitempty"`
	// passing: a working replica repairs it within moments.
	passing bool
	// intended: an operator may have set it so.
	intended bool
}

// Repair restores the labels and the annotation by which a Lease is known as a slot. The
// holder that the Lease names stays.
type Repair struct {
	// What it does, and its Outcome after it was tried.
	What    string `json:"what"`
	Outcome string `json:"outcome,omitempty"`

	lease *coordinationv1.Lease
	done  bool
}

// Report is the result of an examination.
type Report struct {
	Findings []Finding `json:"findings"`
	// Unseen is what could not be examined, and why.
	Unseen []string `json:"unseen,omitempty"`
	// Summary is what was examined, in a line.
	Summary string `json:"summary"`
}

// ErrFound says that the examination worked, and that so many problems are left to repair.
type ErrFound int

func (n ErrFound) Error() string { return plural(int(n), "problem") + " left to repair" }

// Err is an [ErrFound] if a problem is left that was not repaired. A warning is none.
func (r *Report) Err() error {
	left := 0
	for _, f := range r.Findings {
		if !f.Warning && (f.Repair == nil || !f.Repair.done) {
			left++
		}
	}
	if left == 0 {
		return nil
	}
	return ErrFound(left)
}

// Print prints the report for a terminal.
func (r *Report) Print(out io.Writer) error {
	var errs []error
	print := func(format string, args ...any) {
		_, err := fmt.Fprintf(out, format, args...)
		errs = append(errs, err)
	}
	wrong := false
	for _, f := range r.Findings {
		label := "WRONG  "
		if f.Warning {
			label = "warn   "
		} else {
			wrong = true
		}
		print("%s%s: %s\n", label, f.Check, f.Where)
		print("       %s\n", strings.ReplaceAll(f.What, "\n", "\n       "))
		print("    ➜  %s\n", f.Do)
		switch {
		case f.Repair == nil:
		case f.Repair.Outcome == "":
			print("       --fix would %s.\n", f.Repair.What)
		default:
			print("       --fix: to %s: %s.\n", f.Repair.What, f.Repair.Outcome)
		}
		print("\n")
	}
	for _, u := range r.Unseen {
		print("unseen %s\n", u)
	}
	if !wrong {
		print("Nothing is wrong: %s.\n", r.Summary)
	} else {
		print("Examined %s.\n", r.Summary)
	}
	return errors.Join(errs...)
}
