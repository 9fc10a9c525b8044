package lease

import (
	"fmt"
	"math"
	"math/rand"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// observed is the version of the Leases here: resourceVersion and UID.
const observed = "7/9d5c"

var (
	noon    = time.Date(2026, 7, 1, 12, 0, 0, 123456000, time.UTC)
	shopApp = engine.Repository{Key: queue.Key{Namespace: "shop", Repository: "app"}, UID: "uid-app", Limit: 2}
	build   = queue.Holder{
		Name: "build", UID: "uid-build", Attempt: 2,
		Event: queue.Event{ID: "139f790c77f81ac3", Created: noon.Truncate(time.Second)},
	}
)

// held is the Lease of slot 1, which names the run "build".
func held(changes ...func(*coordinationv1.Lease)) *coordinationv1.Lease {
	l := encode(shopApp, queue.Slot{Index: 1, Version: observed}, &build, 12, noon, 30*time.Second)
	for _, change := range changes {
		change(l)
	}
	return l
}

func annotated(key, value string) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { l.Annotations[key] = value }
}

func without(key string) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { delete(l.Annotations, key) }
}

func holder(name string) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = &name }
}

func transitions(n int32) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = &n }
}

func named(name string) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { l.Name = name }
}

// TestEncode: people and scripts read these Leases too.
func TestEncode(t *testing.T) {
	meta := metav1.ObjectMeta{
		Name: "app.slot-1", Namespace: "shop", ResourceVersion: "7", UID: "9d5c",
		Labels: map[string]string{
			"app.kubernetes.io/managed-by": "pac-lease-queue", "pac-lease-queue.dev/repository": "app", "pac-lease-queue.dev/slot": "1",
		},
		Annotations: map[string]string{"pac-lease-queue.dev/repository": "app"},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository", Name: "app", UID: "uid-app",
		}},
	}
	heldMeta := *meta.DeepCopy()
	heldMeta.Annotations["pac-lease-queue.dev/run-uid"] = "uid-build"
	heldMeta.Annotations["pac-lease-queue.dev/attempt"] = "2"
	heldMeta.Annotations["pac-lease-queue.dev/event"] = "139f790c77f81ac3 2026-07-01T12:00:00Z"
	for name, tc := range map[string]struct {
		holder *queue.Holder
		ttl    time.Duration
		want   coordinationv1.Lease
	}{
		"held": {&build, 30 * time.Second, coordinationv1.Lease{ObjectMeta: heldMeta, Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("build"), AcquireTime: &metav1.MicroTime{Time: noon},
			LeaseDurationSeconds: ptr.To[int32](30), LeaseTransitions: ptr.To[int32](12),
		}}},
		// The API server refuses durations below 1 and empty holders.
		"free": {nil, time.Millisecond, coordinationv1.Lease{ObjectMeta: meta, Spec: coordinationv1.LeaseSpec{
			LeaseDurationSeconds: ptr.To[int32](1), LeaseTransitions: ptr.To[int32](12),
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := encode(shopApp, queue.Slot{Index: 1, Version: observed}, tc.holder, 12, noon, tc.ttl)
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("Lease (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEncodeNewOnes: a Lease without a version is created, and must not pretend
// to have one.
// TestOwner: a slot goes with what its queue is of.
func TestOwner(t *testing.T) {
	key := queue.Key{Namespace: "shop", Repository: "app"}
	for kind, q := range map[string]engine.Repository{
		"pipelinesascode.tekton.dev/v1alpha1 Repository": {Key: key, UID: "uid"},
		"pac-lease-queue.dev/v1alpha1 RunQueue":          {Key: key, UID: "uid", ByRunQueue: true},
	} {
		l := encode(q, queue.Slot{}, nil, 0, noon, time.Minute)
		is := l.OwnerReferences[0]
		if got := is.APIVersion + " " + is.Kind; got != kind || is.Name != "app" || is.UID != "uid" {
			t.Errorf("owned by %+v, want %s", is, kind)
		}
		if !OwnedBy(l, "app") || OwnedBy(l, "web") {
			t.Errorf("%s: owned by app %t, by web %t", kind, OwnedBy(l, "app"), OwnedBy(l, "web"))
		}
		lost := l.DeepCopy()
		lost.Labels, lost.Annotations = nil, nil
		if is, ok := KeyOf(Relabel(lost)); is != key || !ok {
			t.Errorf("%s: relabelled, it is of queue %s, %t", kind, is, ok)
		}
	}
	foreign := encode(engine.Repository{Key: key, UID: "uid"}, queue.Slot{}, nil, 0, noon, time.Minute)
	foreign.OwnerReferences[0].APIVersion = "example.com/v1"
	if OwnedBy(foreign, "app") {
		t.Error("another product's Repository owns a slot")
	}
}

func TestEncodeNewOnes(t *testing.T) {
	if l := encode(shopApp, queue.Slot{Index: 1}, &build, 1, noon, time.Second); l.ResourceVersion != "" || l.UID != "" {
		t.Errorf("version %q, UID %q", l.ResourceVersion, l.UID)
	}
}

// TestRoundTrip: whatever is written is read again, and selected.
func TestRoundTrip(t *testing.T) {
	selector, err := labels.Parse(Selector)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(1))
	for range 1000 {
		q := engine.Repository{Key: queue.Key{
			Namespace:  randomName(rnd, 63),
			Repository: randomName(rnd, validation.DNS1123SubdomainMaxLength),
		}, UID: "uid"}
		want := queue.Slot{
			Index: rnd.Intn(1 << rnd.Intn(31)), Version: strconv.Itoa(rnd.Int()) + "/" + randomName(rnd, 36),
			Transition: rnd.Intn(math.MaxInt32),
		}
		if rnd.Intn(4) > 0 {
			want.Holder = &queue.Holder{
				Name: randomName(rnd, validation.DNS1123SubdomainMaxLength), UID: randomName(rnd, 36),
				Attempt: rnd.Intn(1 << rnd.Intn(attemptBits+1)),
			}
			if rnd.Intn(4) > 0 {
				want.Holder.Event = queue.Event{ID: randomName(rnd, 253), Created: time.Unix(rnd.Int63n(1<<33), 0).UTC()}
				if rnd.Intn(2) == 0 {
					want.Holder.Event.Arrived = queue.Arrival{Version: 1 + rnd.Uint64()>>rnd.Intn(63), AtMost: rnd.Intn(2) == 0}
				}
			}
		}
		l := encode(q, want, want.Holder, want.Transition, noon, time.Minute)
		key, got, ok := Decode(l)
		if !ok || key != q.Key {
			t.Fatalf("%s/%s is read as of queue %v, %t; want %v", l.Namespace, l.Name, key, ok, q.Key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("slot (-written +read):\n%s", diff)
		}
		if !selector.Matches(labels.Set(l.Labels)) {
			t.Fatalf("%s does not select %v", Selector, l.Labels)
		}
		for k, v := range l.Labels {
			if problems := validation.IsValidLabelValue(v); len(problems) > 0 {
				t.Fatalf("label %s=%q of Repository %s: %v", k, v, q.Key.Repository, problems)
			}
		}
		if *l.Spec.LeaseTransitions < 0 {
			t.Fatalf("the API server refuses %d transitions", *l.Spec.LeaseTransitions)
		}
	}
}

// randomName is a valid name of an object, of a length up to n, with the longest
// ones and those that only differ at their end drawn often.
func randomName(rnd *rand.Rand, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	length := 1 + rnd.Intn(n)
	if rnd.Intn(2) == 0 {
		length = n - rnd.Intn(min(n, 12))
	}
	b := []byte(strings.Repeat("a", length))
	for i := range b {
		switch {
		case rnd.Intn(3) > 0:
			b[i] = letters[rnd.Intn(len(letters))]
		case n > 63 && i > 0 && i < length-1 && b[i-1] != '.' && rnd.Intn(4) == 0:
			b[i] = '.'
		}
		if i > 0 && b[i-1] == '.' {
			b[i] = 'x'
		}
	}
	return string(b)
}

func TestName(t *testing.T) {
	long := strings.Repeat("a", 253)
	for name, tc := range map[string]struct {
		repository string
		index      int
		want       string
	}{
		"plain":                  {"app", 0, "app.slot-0"},
		"dotted":                 {"app.example.com", 10, "app.example.com.slot-10"},
		"looks like a slot":      {"app.slot-0", 1, "app.slot-0.slot-1"},
		"the longest that fits":  {long[:246], 0, long[:246] + ".slot-0"},
		"one more":               {long[:247], 0, long[:237] + "-ee12716e.slot-0"},
		"the longest":            {long, 0, long[:237] + "-df1f7590.slot-0"},
		"the longest, index 10":  {long, 10, long[:236] + "-df1f7590.slot-10"},
		"cut behind a separator": {long[:236] + "." + long[:16], 0, long[:236] + "-d5038d0d.slot-0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Name(tc.repository, tc.index)
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if problems := validation.IsDNS1123Subdomain(got); len(problems) > 0 {
				t.Errorf("%s: %v", got, problems)
			}
		})
	}
}

// TestNamesAreUnique: two slots that shared a Lease would be one.
func TestNamesAreUnique(t *testing.T) {
	type slot struct {
		repository string
		index      int
	}
	rnd := rand.New(rand.NewSource(1))
	names, labelsOf := map[string]slot{}, map[string]string{}
	long := strings.Repeat("a", 240)
	repositories := []string{"app", "app.slot-1", "app.slot", "app-1", long}
	for i := range 1000 {
		repositories = append(repositories, randomName(rnd, 253), fmt.Sprintf("%s-%d", long, i))
	}
	for _, repository := range repositories {
		for _, index := range []int{0, 1, 10, math.MaxInt32} {
			is, name := slot{repository, index}, Name(repository, index)
			if other, taken := names[name]; taken && other != is {
				t.Fatalf("%s is the name of %v and of %v", name, other, is)
			}
			names[name] = is
			if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
				t.Fatalf("%s: %v", name, problems)
			}
		}
		label := labelValue(repository)
		if other, taken := labelsOf[label]; taken && other != repository {
			t.Fatalf("%s is the label of %s and of %s", label, other, repository)
		}
		labelsOf[label] = repository
		if problems := validation.IsValidLabelValue(label); len(problems) > 0 {
			t.Fatalf("label %s: %v", label, problems)
		}
	}
}

func TestDecode(t *testing.T) {
	want := queue.Slot{Index: 1, Version: observed, Transition: 12, Holder: &build}
	but := func(change func(*queue.Slot)) queue.Slot {
		s, h := want, build
		s.Holder = &h
		change(&s)
		return s
	}
	damaged := func(why string) queue.Slot {
		return but(func(s *queue.Slot) { s.Holder, s.Damaged = nil, why })
	}
	noEvent := but(func(s *queue.Slot) { s.Holder.Event = queue.Event{} })

	for name, tc := range map[string]struct {
		lease *coordinationv1.Lease
		want  queue.Slot
	}{
		"held":            {held(), want},
		"emptied by hand": {held(holder("")), but(func(s *queue.Slot) { s.Holder = nil })},
		"spec emptied by hand": {
			held(func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} }),
			but(func(s *queue.Slot) { s.Holder, s.Transition = nil, 0 }),
		},
		"without the labels for people": {
			held(func(l *coordinationv1.Lease) { delete(l.Labels, keyRepository); delete(l.Labels, keySlot) }), want,
		},
		"without its owner": {held(func(l *coordinationv1.Lease) { l.OwnerReferences = nil }), want},
		"with another time": {held(func(l *coordinationv1.Lease) { l.Spec.AcquireTime = nil }), want},

		"no UID": {held(without(keyRunUID)), damaged("Lease app.slot-1 names build without its UID (annotation " +
			"pac-lease-queue.dev/run-uid)")},
		"empty UID": {held(annotated(keyRunUID, "")), damaged("Lease app.slot-1 names build without its UID (annotation " +
			"pac-lease-queue.dev/run-uid)")},
		"another product's Lease under our name": {
			held(without(keyRunUID), without(keyAttempt), without(keyEvent), holder("kube-scheduler_42")),
			damaged("Lease app.slot-1 names kube-scheduler_42 without its UID (annotation pac-lease-queue.dev/run-uid)"),
		},
		// A live read of such a run is refused before it is sent, which would
		// stop the whole queue.
		"no name of a run": {held(holder("shop/build")), damaged(`Lease app.slot-1 names "shop/build", ` +
			`which is not a valid name of a PipelineRun`)},
		"no path, either": {held(holder("..")), damaged(`Lease app.slot-1 names "..", which is not a valid name of a PipelineRun`)},

		"no attempt": {held(without(keyAttempt)), damaged(`Lease app.slot-1 has annotation pac-lease-queue.dev/attempt="", ` +
			`which is not a number from 0 up`)},
		"no number": {
			held(annotated(keyAttempt, "two")),
			damaged(`Lease app.slot-1 has annotation pac-lease-queue.dev/attempt="two", which is not a number from 0 up`),
		},
		"negative attempt": {
			held(annotated(keyAttempt, "-1")),
			damaged(`Lease app.slot-1 has annotation pac-lease-queue.dev/attempt="-1", which is not a number from 0 up`),
		},
		// Fencing needs a next attempt that can be written and read.
		"absurd attempt": {
			held(annotated(keyAttempt, "9223372036854775807")),
			damaged(`Lease app.slot-1 has annotation pac-lease-queue.dev/attempt="9223372036854775807", which is not a number from 0 up`),
		},

		"no event":                {held(without(keyEvent)), noEvent},
		"an event without a time": {held(annotated(keyEvent, "139f790c77f81ac3")), noEvent},
		"an event with another":   {held(annotated(keyEvent, "139f790c77f81ac3 yesterday")), noEvent},
		"an event with its arrival": {
			held(annotated(keyEvent, "139f790c77f81ac3 2026-07-01T12:00:00Z 1234")),
			but(func(s *queue.Slot) { s.Holder.Event.Arrived = queue.Arrival{Version: 1234} }),
		},
		"an event with an arrival that is none": {held(annotated(keyEvent, "139f790c77f81ac3 2026-07-01T12:00:00Z soon")), noEvent},
		"an event without an ID": {
			held(annotated(keyEvent, " 2026-07-01T12:00:00Z")),
			but(func(s *queue.Slot) { s.Holder.Event.ID = "" }),
		},
		"transitions, the highest": {held(transitions(math.MaxInt32)), but(func(s *queue.Slot) { s.Transition = math.MaxInt32 })},
	} {
		t.Run(name, func(t *testing.T) {
			before := tc.lease.DeepCopy()
			key, got, ok := Decode(tc.lease)
			if !ok || key != shopApp.Key {
				t.Errorf("of queue %v, %t; want %v", key, ok, shopApp.Key)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("slot (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tc.lease); diff != "" {
				t.Errorf("Decode changed its Lease (-before +after):\n%s", diff)
			}
		})
	}
}

// TestTransitionsStartOver: a user can write the highest number there is, and
// the API server refuses a negative one; such a slot would never be given away.
func TestTransitionsStartOver(t *testing.T) {
	_, slot, _ := Decode(held(transitions(math.MaxInt32)))
	next := encode(shopApp, slot, &build, nextTransition(slot.Transition), noon, time.Second)
	if got := *next.Spec.LeaseTransitions; got != 0 {
		t.Errorf("%d transitions after the highest number, want 0", got)
	}
}

func TestForeignLeases(t *testing.T) {
	for name, l := range map[string]*coordinationv1.Lease{
		"a copy under another name":         held(named("app.slot-1.backup")),
		"a copy under a name with a number": held(named("copy-1")),
		"a copy of a slot of our own queue": held(named("app.slot-01")),
		"a negative slot":                   held(named("app.slot--1")),
		"a slot beyond numbers":             held(named("app.slot-99999999999999999999")),
		"no slot at all":                    held(named("app.slot-")),
		"not labelled":                      held(func(l *coordinationv1.Lease) { l.Labels = nil }),
		"labelled as another product's":     held(func(l *coordinationv1.Lease) { l.Labels[labelManagedBy] = "kueue" }),
		"of no Repository":                  held(without(keyRepository)),
		"of another Repository":             held(annotated(keyRepository, "web")),
		"bare":                              {ObjectMeta: metav1.ObjectMeta{Name: "app.slot-1", Namespace: "shop"}},
		"empty":                             {},
	} {
		t.Run(name, func(t *testing.T) {
			if key, slot, ok := Decode(l); ok {
				t.Errorf("is taken for slot %+v of %v", slot, key)
			}
			if key, ok := KeyOf(l); ok {
				t.Errorf("is taken for one of %v", key)
			}
		})
	}
}

func TestKeyOf(t *testing.T) {
	for name, tc := range map[string]struct {
		obj    any
		want   queue.Key
		wantOK bool
	}{
		"Lease":                       {held(), shopApp.Key, true},
		"tombstone":                   {cache.DeletedFinalStateUnknown{Key: "shop/app.slot-1", Obj: held()}, shopApp.Key, true},
		"tombstone of something else": {obj: cache.DeletedFinalStateUnknown{Key: "shop/app.slot-1"}},
		"something else":              {obj: "shop/app"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := KeyOf(tc.obj); got != tc.want || ok != tc.wantOK {
				t.Errorf("key %v %t, want %v %t", got, ok, tc.want, tc.wantOK)
			}
		})
	}
}

// FuzzDecode: anybody may edit a Lease. Reading one never fails, and what reads
// as undamaged is what it would be if it were ours: written anew it reads the same.
// Leases without a name are named like a slot, or the fuzzer would hardly ever
// get past that.
// TestTurns: turns that cannot be read are forgotten, and damage no slot.
func TestTurns(t *testing.T) {
	long := make(queue.Turns, 64)
	for i := range 64 {
		long[fmt.Sprintf("%016x", i)] = math.MaxInt64 / 2
	}
	for text, want := range map[string]queue.Turns{
		"0123456789abcdef=7":                       {"0123456789abcdef": 7},
		long.String():                              long,
		"main=7":                                   nil,
		"0123456789abcdef":                         nil,
		"0123456789abcdef=0":                       nil,
		"0123456789abcdef=18446744073709551615":    nil,
		"0123456789abcdef=1,0123456789abcdef=1":    nil,
		strings.Repeat("0123456789abcdef=1,", 200): nil,
	} {
		_, slot, ok := Decode(held(annotated(keyTurns, text)))
		if diff := cmp.Diff(want, slot.Turns); diff != "" || !ok || slot.Damaged != "" {
			t.Errorf("%.40q (-want +got):\n%s%s", text, diff, slot.Damaged)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, l := range []*coordinationv1.Lease{
		held(), held(holder("")), held(holder("../x")), held(without(keyRunUID)), held(annotated(keyAttempt, "9223372036854775807")),
		held(annotated(keyEvent, "x 9999-12-31T23:59:59-12:00")), held(transitions(math.MaxInt32)), held(named("app.slot-01")),
		held(annotated(keyRepository, "")),
	} {
		f.Add(l.Name, uint32(1), l.Annotations[keyRepository], *l.Spec.HolderIdentity, l.Annotations[keyRunUID],
			l.Annotations[keyAttempt], l.Annotations[keyEvent], *l.Spec.LeaseTransitions)
	}
	f.Add("", uint32(math.MaxUint32), strings.Repeat("a.", 150), "build", "uid", "0", "", int32(1))
	f.Fuzz(func(t *testing.T, name string, index uint32, repository, holder, uid, attempt, event string, transitions int32) {
		if name == "" {
			name = Name(repository, int(index))
		}
		l := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Namespace: "shop", ResourceVersion: "7", UID: "9d5c", Labels: map[string]string{labelManagedBy: manager},
				Annotations: map[string]string{keyRepository: repository, keyRunUID: uid, keyAttempt: attempt, keyEvent: event},
			},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseTransitions: &transitions},
		}
		key, slot, ok := Decode(l)
		if !ok {
			return
		}
		if Name(key.Repository, slot.Index) != name {
			t.Fatalf("Lease %q is taken for slot %d of %v", name, slot.Index, key)
		}
		if slot.Damaged != "" {
			if slot.Holder != nil {
				t.Fatalf("damaged, yet a holder: %+v", slot)
			}
			return
		}
		if h := slot.Holder; h != nil && (h.Name == "" || h.UID == "" || h.Attempt < 0 || h.Attempt >= 1<<attemptBits) {
			t.Fatalf("undamaged, but nothing to work with: %+v", h)
		}
		if transitions < 0 || len(validation.IsDNS1123Subdomain(repository)) > 0 {
			return // the API server has no such Lease, and no such Repository
		}
		again := encode(engine.Repository{Key: key, UID: "uid"}, slot, slot.Holder, slot.Transition, noon, time.Second)
		againKey, got, ok := Decode(again)
		if !ok || againKey != key {
			t.Fatalf("written anew it is of queue %v, %t; was %v", againKey, ok, key)
		}
		if slot.Holder != nil && encodeEvent(slot.Holder.Event) != event {
			// Another client wrote the event: as a hint it may lose its fraction.
			slot.Holder.Event, got.Holder.Event = queue.Event{}, queue.Event{}
		}
		if diff := cmp.Diff(slot, got); diff != "" {
			t.Fatalf("slot (-read +written anew):\n%s", diff)
		}
	})
}

// TestCanWait: a slot that names a run makes no room; anything else may.
func TestCanWait(t *testing.T) {
	for name, tc := range map[string]struct {
		obj  any
		want bool
	}{
		"it names a run":   {held(), true},
		"it is free":       {encode(shopApp, queue.Slot{Index: 1, Version: observed}, nil, 12, noon, time.Second), false},
		"it is damaged":    {held(without(keyRunUID)), false},
		"it is no slot":    {held(named("elsewhere")), false},
		"it is no Lease":   {&metav1.PartialObjectMetadata{}, false},
		"there is nothing": {nil, false},
	} {
		if got := CanWait(tc.obj); got != tc.want {
			t.Errorf("%s: can wait %t, want %t", name, got, tc.want)
		}
	}
}
