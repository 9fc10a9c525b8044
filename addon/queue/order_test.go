package queue_test

import (
	"fmt"
	"hash/fnv"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// inLine lists the runs in the order in which a queue without a shortage of
// slots claims for them.
func inLine(t *testing.T, rs []*queue.Run, ss []queue.Slot) string {
	t.Helper()
	var names []string
	for _, a := range decide(t, queue.Snapshot{Limit: 1000, Runs: rs, Slots: ss}).Actions {
		if c, ok := a.(queue.Claim); ok {
			names = append(names, c.Run.Name)
		}
	}
	return strings.Join(names, " ")
}

// eventOnly is the run as caches keep it when there is no use, or no room, for its order.
func eventOnly(b runBuilder) runBuilder {
	b.Order = &queue.Order{Held: true, Sequence: b.Sequence().Event()}
	return b
}

func TestOrder(t *testing.T) {
	const s = time.Second
	eventOf := func(first time.Duration, names ...string) queue.Event {
		return queue.Event{ID: queue.NewSequence(names).ID, Created: noon.Add(first)}
	}
	cases := map[string]struct {
		runs  []*queue.Run
		slots []queue.Slot
		want  string
	}{
		"by the creation of the event's first run": {
			runs: runs(run("b1").order("b1", "b2").created(-8*s), run("b2").order("b1", "b2").created(-9*s),
				run("a1").order("a1", "a2").created(-7*s), run("a2").order("a1", "a2").created(-10*s)),
			want: "a1 a2 b1 b2",
		},
		"within an event by position, not by creation or name": {
			runs: runs(run("x").order("z", "y", "x").created(-30*s), run("y").order("z", "y", "x").created(-20*s),
				run("z").order("z", "y", "x")),
			want: "z y x",
		},
		"events of one instant do not mix": {
			runs: runs(run("a1").order("a1", "b2"), run("b1").order("b1", "a2"), run("a2").order("b1", "a2"), run("b2").order("a1", "b2")),
			want: map[bool]string{true: "a1 b2 b1 a2", false: "b1 a2 a1 b2"}[queue.NewSequence([]string{
				"a1",
				"b2",
			}).ID < queue.NewSequence([]string{"b1", "a2"}).ID],
		},
		"malformed runs of one instant by name": {
			runs: runs(run("c").malformed(), run("a").malformed(), run("b").malformed()),
			want: "a b c",
		},
		"a malformed run is an event of its own": {
			runs: runs(run("a").order("a", "c").created(-9*s), run("b").malformed().created(-8*s), run("c").order("a", "c").created(-7*s)),
			want: "a c b",
		},
		"a malformed run takes no place from another's list": {
			runs: runs(run("a").malformed().created(-5*s), run("b").order("a", "b").created(-6*s), run("c").created(-7*s)),
			want: "c b a",
		},
		"PAC has patched one run of the event: the others have their place already": {
			runs: runs(run("a1").noOrder().created(-10*s), run("a2").order("a1", "a2").created(-8*s), run("b").created(-9*s)),
			want: "a1 a2 b",
		},
		"a run that no list names waits": {
			runs: runs(run("a").noOrder().created(-10*s), run("b")),
			want: "b",
		},
		"and is an event of its own when it has waited long enough": {
			runs: runs(run("a").noOrder().created(-40*s), run("b").created(-50*s), run("c").created(-30*s)),
			want: "b a c",
		},
		"the event is as old as its first run, even if that is done": {
			runs: runs(run("a1").order("a1", "a2").created(-10*s).done(), run("a2").order("a1", "a2").created(-8*s),
				run("b").created(-9*s)),
			want: "a2 b",
		},
		"even if only the event is known of that one": {
			runs: runs(eventOnly(run("a1").order("a1", "a3", "a2").created(-10*s).done()),
				run("a2").order("a1", "a3", "a2").created(-8*s), run("a3").noOrder().created(-8*s), run("b").created(-9*s),
				eventOnly(run("a4").order("a1", "a3", "a2").created(-10*s).done())),
			want: "a3 a2 b",
		},
		"when its first run is gone, the event begins with the next": {
			runs: runs(run("a2").order("a1", "a2").created(-8*s), run("b").created(-9*s)),
			want: "b a2",
		},
		"unless a slot remembers": {
			runs:  runs(run("a2").order("a1", "a2").created(-8*s), run("b").created(-9*s)),
			slots: slots(slot(0).of("a1").event(eventOf(-10*s, "a1", "a2"))),
			want:  "a2 b",
		},
		"a slot that remembers another event does not help": {
			runs:  runs(run("a2").order("a1", "a2").created(-8*s), run("b").created(-9*s)),
			slots: slots(slot(0).of("x").event(eventOf(-10*s, "x", "y"))),
			want:  "b a2",
		},
		"nor does one that remembers no time": {
			runs:  runs(run("a2").order("a1", "a2").created(-8*s), run("b").created(-9*s)),
			slots: slots(slot(0).of("a1").event(queue.Event{ID: queue.NewSequence([]string{"a1", "a2"}).ID})),
			want:  "b a2",
		},
		"of two memories the older counts": {
			runs: runs(run("a3").order("a1", "a2", "a3").created(-7*s), run("b").created(-9*s)),
			slots: slots(slot(0).of("a2").event(eventOf(-8*s, "a1", "a2", "a3")),
				slot(1).of("a1").event(eventOf(-10*s, "a1", "a2", "a3"))),
			want: "a3 b",
		},
		"two lists name one run: its own counts": {
			runs: runs(run("a").order("a", "b").created(-5*s), run("b").order("b", "c").created(-4*s),
				run("c").order("b", "c").created(-3*s), run("d").created(-4500*time.Millisecond)),
			want: "a d b c",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := inLine(t, tc.runs, tc.slots); got != tc.want {
				t.Errorf("in line: %s; want: %s", got, tc.want)
			}
		})
	}
}

// TestInOrder: people are shown the order in which runs are claimed for, with
// those who no longer wait.
func TestInOrder(t *testing.T) {
	rs := runs(run("b").created(-9*time.Second).started(), run("a2").order("a1", "a2").created(-7*time.Second),
		run("a1").order("a1", "a2").created(-8*time.Second).done())
	var names []string
	for _, r := range queue.InOrder(rs, nil) {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"b", "a1", "a2"}, names); diff != "" {
		t.Errorf("in order (-want +got):\n%s", diff)
	}
}

// TestClaimRemembersEvent: what a claim writes down is what TestOrder's slots
// remember.
func TestClaimRemembersEvent(t *testing.T) {
	first, second := run("a1").order("a1", "a2").created(-10*time.Second).done(), run("a2").order("a1", "a2").created(-8*time.Second)
	got := decide(t, queue.Snapshot{Limit: 1, Runs: runs(first, second)}).Actions[0].(queue.Claim).Event
	if want := (queue.Event{ID: first.Sequence().ID, Created: first.Created}); got != want {
		t.Errorf("the claim remembers %v, want %v", got, want)
	}
	got = decide(t, queue.Snapshot{Limit: 1, Runs: runs(run("b").malformed())}).Actions[0].(queue.Claim).Event
	if want := (queue.Event{ID: "b", Created: run("b").Created}); got != want {
		t.Errorf("the claim of a malformed run remembers %v, want %v", got, want)
	}
}

// TestOrderIsDeterministic: lists that contradict each other, as only a person
// can write them, are still one order, whatever the order of observation.
func TestOrderIsDeterministic(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	names := strings.Fields("a b c d e f g h")
	for range 200 {
		var rs []*queue.Run
		for _, n := range names {
			r := run(n).created(-time.Duration(rnd.Intn(3)) * time.Minute)
			switch rnd.Intn(4) {
			case 0:
				r = r.noOrder()
			case 1:
				r = r.malformed()
			default:
				list := append([]string(nil), names...)
				rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
				r = r.order(list[:1+rnd.Intn(len(list))]...)
			}
			rs = append(rs, &r.Run)
		}
		inLine(t, rs, nil) // decide permutes
	}
}

func TestNewSequence(t *testing.T) {
	names := []string{"b", "a", "b"}
	o := queue.NewSequence(names)
	names[0] = "changed"
	if o.Len() != 3 {
		t.Errorf("it lists %d runs, want 3", o.Len())
	}
	if i, ok := o.Position("b"); i != 0 || !ok {
		t.Errorf("b is at %d, %v, want its first place, 0", i, ok)
	}
	if i, ok := o.Position("a"); i != 1 || !ok {
		t.Errorf("a is at %d, %v, want 1", i, ok)
	}
	if _, ok := o.Position("changed"); ok {
		t.Error("what the caller does with its list changes the order")
	}
	if o.ID != queue.NewSequence([]string{"b", "a", "b"}).ID || o.ID == queue.NewSequence([]string{"a", "b"}).ID {
		t.Error("equal lists have different IDs, or different lists equal ones")
	}
}

// TestSequencePositions: every name of a long list is found where it is, and no other name is.
func TestSequencePositions(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("run-%d", i))
	}
	o := queue.NewSequence(names)
	if again := queue.Unpack(o.Pack()); again.ID != o.ID || again.Len() != o.Len() || again.Pack() != o.Pack() {
		t.Errorf("unpacked as %v, was %v", again, o)
	}
	for want, name := range names {
		if i, ok := o.Position(name); !ok || i != want {
			t.Errorf("%s is at %d, %v, want %d", name, i, ok, want)
		}
	}
	// A stranger whose hash is there, but made of the ends of two others.
	hashes := o.Pack()[len(o.ID):]
	for i := 0; ; i++ {
		stranger := fmt.Sprintf("stranger-%d", i)
		h := fnv.New32a()
		h.Write([]byte(stranger))
		if at := strings.Index(hashes, string(h.Sum(nil))); at < 0 || at%4 == 0 {
			continue
		}
		if _, ok := o.Position(stranger); ok {
			t.Errorf("%s is listed", stranger)
		}
		return
	}
}

func TestParseSequence(t *testing.T) {
	long := strings.Repeat("é", 100)
	cases := map[string]struct {
		value   string
		want    []string
		wantErr string
	}{
		"one":                   {value: "ns/a", want: []string{"a"}},
		"several":               {value: "ns/c,ns/a,ns/b", want: []string{"c", "a", "b"}},
		"spaces":                {value: " ns/b , ns/a\n", want: []string{"b", "a"}},
		"empty":                 {value: "", wantErr: `entry 1 of 1, "", is not namespace/name`},
		"no slash":              {value: "ns/a,b", wantErr: `entry 2 of 2, "b", is not namespace/name`},
		"no name":               {value: "ns/,ns/a", wantErr: `entry 1 of 2, "ns/", is not namespace/name`},
		"no namespace":          {value: "/a", wantErr: `entry 1 of 1, "/a", is not namespace/name`},
		"too many slashes":      {value: "ns/a,ns/a/b", wantErr: `entry 2 of 2, "ns/a/b", is not namespace/name`},
		"trailing comma":        {value: "ns/a,", wantErr: `entry 2 of 2, "", is not namespace/name`},
		"another separator":     {value: "ns/a;ns/b", wantErr: `entry 1 of 1, "ns/a;ns/b", is not namespace/name`},
		"target-namespace":      {value: "other/b,ns/c,other/a,ns/a", want: []string{"c", "a"}},
		"only other namespaces": {value: "other/a,n/a,nsx/a", wantErr: "the run a itself is missing"},
		"not all is as it must be": {
			value: "ns/a,other/b/c", wantErr: `entry 2 of 2, "other/b/c", is not namespace/name`,
		},
		"twice":                   {value: "ns/a,ns/b,ns/a", wantErr: "a run is listed twice"},
		"as many as there may be": {value: strings.Repeat("ns/b,", 999) + "ns/a", wantErr: "a run is listed twice"},
		"too many runs":           {value: strings.Repeat("ns/b,", 1000) + "ns/a", wantErr: "it lists 1001 runs, more than 1000"},
		"as long as it may be": {
			value:   "ns/a," + strings.Repeat("x", 64<<10-5),
			wantErr: `entry 2 of 2, "` + strings.Repeat("x", 80) + `…", is not namespace/name`,
		},
		"too long":           {value: "ns/a,ns/" + strings.Repeat("x", 64<<10-7), wantErr: "it has 65537 bytes, more than 65536"},
		"the run itself not": {value: "ns/b,ns/c", wantErr: "the run a itself is missing"},
		"a text that is not too long": {value: strings.Repeat("x", 80), wantErr: `entry 1 of 1, "` + strings.Repeat("x", 80) + `", ` +
			`is not namespace/name`},
		"a long text is short": {value: long, wantErr: `entry 1 of 1, "` + strings.Repeat("é", 40) + `…", is not namespace/name`},
		"cut within a letter": {value: "x" + long, wantErr: `entry 1 of 1, "x` + strings.Repeat("é", 39) + `…", ` +
			`is not namespace/name`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o, err := queue.ParseSequence(tc.value, "ns", "a")
			if tc.wantErr != "" {
				if o != nil || err == nil || err.Error() != tc.wantErr {
					t.Errorf("got %v, error %v, want error %s", o, err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := queue.NewSequence(tc.want); o.ID != want.ID || o.Pack() != want.Pack() {
				t.Errorf("got %v, want %v", o, want)
			}
		})
	}
}
