package queue_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// FuzzParseSequence: whatever is written into the annotation is refused, or is
// an order that survives being written again.
func FuzzParseSequence(f *testing.F) {
	for _, value := range []string{
		"ns/a", "ns/b,ns/a", " ns/b , ns/a\t", "ns/a,", "a", "/a", "ns/", "ns/a/a", "ns/a,ns/a", "other/a", "other/b,ns/a",
		",", strings.Repeat("x", 100), "\xff/\xfe",
	} {
		f.Add(value, "ns", "a")
	}
	f.Add("/", "", "")
	f.Fuzz(func(t *testing.T, value, namespace, name string) {
		o, err := queue.ParseSequence(value, namespace, name)
		if err != nil {
			if o != nil || len(err.Error()) > 500+len(namespace)+len(name) {
				t.Fatalf("refused with order %v and an error of %d bytes", o, len(err.Error()))
			}
			return
		}
		var names []string
		for entry := range strings.SplitSeq(value, ",") {
			if ns, n, _ := strings.Cut(strings.TrimSpace(entry), "/"); ns == namespace {
				names = append(names, n)
			}
		}
		if o.Len() != len(names) || o.Pack() != queue.NewSequence(names).Pack() {
			t.Fatalf("%d names from %q", o.Len(), value)
		}
		if _, ok := o.Position(name); !ok {
			t.Fatalf("the run itself is not in %q", names)
		}
		entries := slices.Clone(names)
		for i := range entries {
			entries[i] = namespace + "/" + entries[i]
		}
		again, err := queue.ParseSequence(strings.Join(entries, ","), namespace, name)
		if err != nil {
			t.Fatalf("what was accepted as %q is refused when written again: %v", value, err)
		}
		if o.ID != again.ID || o.Pack() != again.Pack() {
			t.Fatalf("%q became another list", names)
		}
		for i, n := range names {
			// The hash of a name may be that of one before it.
			if p, ok := o.Position(n); !ok || p > i {
				t.Fatalf("%q is at %d, %v, want %d", n, p, ok, i)
			}
		}
		reversed := slices.Clone(names)
		slices.Reverse(reversed)
		if equal := slices.Equal(names, reversed); equal != (queue.NewSequence(reversed).ID == o.ID) {
			t.Fatalf("equal lists %v, equal IDs %v: %q", equal, !equal, names)
		}
	})
}

// FuzzParseToken: there is one way to write a token.
func FuzzParseToken(f *testing.F) {
	for _, s := range []string{
		"0/0/0", "-1/0/3", "12/345/6", "1/2", "1/2/3/4", "+1/2/3", "01/2/3", "-2/0/0", "0/-1/0",
		"9223372036854775808/0/0", "", "a/b/c", "1/2/3\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, err := queue.ParseToken(s)
		if err != nil {
			if token != (queue.Token{}) {
				t.Fatalf("%q is refused, but is also %v", s, token)
			}
			return
		}
		if token.String() != s {
			t.Fatalf("%q became %q", s, token)
		}
		if token.Slot < queue.NoSlot || token.Transition < 0 || token.Attempt < 0 {
			t.Fatalf("%q is accepted", s)
		}
	})
}

// FuzzParseArrival: there is one way to write an arrival, and an unknown one is not written.
func FuzzParseArrival(f *testing.F) {
	for _, s := range []string{
		"1", "<=1234", "0", "", "<=", "<=0", "01", "+1", "-1", "1 ", "18446744073709551615", "18446744073709551616",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := queue.ParseArrival(s)
		if err != nil {
			if a != (queue.Arrival{}) {
				t.Fatalf("%q is refused, but is also %v", s, a)
			}
			return
		}
		if a.String() != s || !a.Known() {
			t.Fatalf("%q became %v", s, a)
		}
	})
}
