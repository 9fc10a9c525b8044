package queue

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// Sequence is the list in an execution order: the names of an event's runs, first first. Runs of
// one event share one Sequence.
type Sequence struct {
	// ID identifies the event; equal lists have equal IDs.
	ID       string
	names    []string
	position map[string]int
}

// NewSequence lists the runs of the given names.
func NewSequence(names []string) *Sequence {
	h := fnv.New64a()
	position := make(map[string]int, len(names))
	for i, n := range names {
		fmt.Fprintf(h, "%s,", n)
		if _, again := position[n]; !again {
			position[n] = i
		}
	}
	return &Sequence{ID: fmt.Sprintf("%016x", h.Sum64()), names: slices.Clone(names), position: position}
}

// Names returns the names of the runs, first first.
func (s *Sequence) Names() []string { return slices.Clone(s.names) }

// Position returns the place of the named run in the list, from 0.
func (s *Sequence) Position(name string) (int, bool) {
	i, ok := s.position[name]
	return i, ok
}

// Lists says whether the list names the run.
func (s *Sequence) Lists(name string) bool {
	_, ok := s.position[name]
	return ok
}

// maxEntry is how much of a bad entry an error quotes, in bytes, with the mark of a cut.
const maxEntry = 80 + len("…")

// ParseSequence reads PAC's execution-order annotation, namespace/name entries separated by commas
// (pkg/pipelineascode/concurrency.go, getOrderByName), for a run of the given namespace and name. A
// list that is not of that form, names another namespace, repeats a run or leaves this one out is
// refused whole: half a list would put runs before others on a guess.
func ParseSequence(value, namespace, name string) (*Sequence, error) {
	entries := strings.Split(value, ",")
	names := make([]string, 0, len(entries))
	for i, entry := range entries {
		ns, n, ok := strings.Cut(strings.TrimSpace(entry), "/")
		switch {
		case !ok || ns == "" || n == "" || strings.Contains(n, "/"):
			return nil, fmt.Errorf("entry %d of %d, %q, is not namespace/name", i+1, len(entries), Clip(entry, maxEntry))
		case ns != namespace:
			return nil, fmt.Errorf("entry %d of %d, %q, is not in namespace %s", i+1, len(entries), Clip(entry, maxEntry), namespace)
		}
		names = append(names, n)
	}
	s := NewSequence(names)
	if len(s.position) != len(names) {
		return nil, fmt.Errorf("a run is listed twice")
	}
	if !s.Lists(name) {
		return nil, fmt.Errorf("the run %s itself is missing", name)
	}
	return s, nil
}
