package queue

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"
)

// Bounds of an execution order. PAC writes some 40 bytes for each run of an event, and an event of
// a thousand runs is beyond what a provider shows. An order above a bound is no order.
const (
	maxOrder   = 64 << 10 // bytes
	maxEntries = 1000
)

// Sequence is the list in an execution order: the runs of an event, first first. It keeps a hash of
// each name instead of the name, at most 4 KiB in all, whatever the order was made of. Two names of
// one hash can only mix up runs of the event that lists both. Runs of one event share one Sequence.
type Sequence struct {
	// ID identifies the event; equal lists have equal IDs.
	ID string
	// Packed has the hashes, hashSize bytes each.
	packed string
	// Place is the one of the run of that name, from 1; 0 if nobody has looked for one before.
	name  string
	place int
}

// hashSize is the length of the hash of a name, in bytes.
const hashSize = 4

// NewSequence lists the runs of the given names.
func NewSequence(names []string) *Sequence {
	id := fnv.New64a()
	packed := make([]byte, 0, hashSize*len(names))
	for _, n := range names {
		id.Write([]byte(n))
		id.Write([]byte{','})
		packed = append(packed, hashOf(n)...)
	}
	return &Sequence{ID: fmt.Sprintf("%016x", id.Sum64()), packed: string(packed)}
}

func hashOf(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return string(binary.BigEndian.AppendUint32(nil, h.Sum32()))
}

// Pack renders the sequence for [Unpack], in an undefined format.
func (s *Sequence) Pack() string { return s.ID + s.packed }

// Unpack is the reverse of [Sequence.Pack].
func Unpack(packed string) *Sequence {
	const idSize = 16
	return &Sequence{ID: packed[:idSize], packed: packed[idSize:]}
}

// For returns the sequence as one that knows the place of the named run: looks ask for it again and
// again.
func (s *Sequence) For(name string) *Sequence {
	is := *s
	if i, listed := s.Position(name); listed {
		is.name, is.place = name, i+1
	}
	return &is
}

// Event returns the sequence without its list: all that is left of it is which event it is.
func (s *Sequence) Event() *Sequence { return &Sequence{ID: s.ID} }

// Len returns how many runs are listed.
func (s *Sequence) Len() int { return len(s.packed) / hashSize }

// Position returns the place of the named run in the list, from 0.
func (s *Sequence) Position(name string) (int, bool) {
	if s.place > 0 && s.name == name {
		return s.place - 1, true
	}
	hash := hashOf(name)
	for from := 0; ; {
		i := strings.Index(s.packed[from:], hash)
		if i < 0 {
			return 0, false
		}
		if from += i; from%hashSize == 0 {
			return from / hashSize, true
		}
		from++
	}
}

// hashes calls do for the hash of each listed name, first first.
func (s *Sequence) hashes(do func(index int, hash string)) {
	for i := range s.Len() {
		do(i, s.packed[i*hashSize:(i+1)*hashSize])
	}
}

// maxEntry is how much of a bad entry an error quotes, in bytes, with the mark of a cut.
const maxEntry = 80 + len("…")

// ParseSequence reads PAC's execution-order annotation, namespace/name entries separated by commas
// (pkg/pipelineascode/concurrency.go, getOrderByName), for a run of the given namespace and name. A
// list that is not of that form, repeats a run, leaves this one out or is too long is refused
// whole: half a list would put runs before others on a guess. Runs of the event in other
// namespaces, where target-namespace has put them, are in other queues and are left out.
func ParseSequence(value, namespace, name string) (*Sequence, error) {
	if len(value) > maxOrder {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(value), maxOrder)
	}
	entries := strings.Count(value, ",") + 1
	if entries > maxEntries {
		return nil, fmt.Errorf("it lists %d runs, more than %d", entries, maxEntries)
	}
	names, listed, at := make([]string, 0, entries), make(map[string]bool, entries), 0
	for entry := range strings.SplitSeq(value, ",") {
		ns, n, ok := strings.Cut(strings.TrimSpace(entry), "/")
		if at++; !ok || ns == "" || n == "" || strings.Contains(n, "/") {
			return nil, fmt.Errorf("entry %d of %d, %q, is not namespace/name", at, entries, Clip(entry, maxEntry))
		}
		if ns == namespace {
			names, listed[n] = append(names, n), true
		}
	}
	switch {
	case len(listed) != len(names):
		return nil, fmt.Errorf("a run is listed twice")
	case !listed[name]:
		return nil, fmt.Errorf("the run %s itself is missing", name)
	}
	return NewSequence(names), nil
}
