package runqueue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/runqueue"
)

func TestCompile(t *testing.T) {
	for name, tc := range map[string]struct {
		spec v1alpha1.RunQueueSpec
		want queue.Spec
		// wrong are what the error says, nothing if there is none.
		wrong []string
	}{
		"nothing": {},
		"all of it": {
			spec: v1alpha1.RunQueueSpec{
				Paused: true, Order: v1alpha1.OrderFair, FairBy: v1alpha1.FairBySender, Release: v1alpha1.ReleasePodsGone,
				Waiting: v1alpha1.Waiting{Keep: v1alpha1.KeepNewest, Max: 10, MaxAge: "1h30m"},
			},
			want: queue.Spec{
				Paused: true, Order: queue.Fair, FairBy: queue.BySender, KeepNewest: true, MostWaiting: 10, MaxAge: 90 * time.Minute,
				Release: queue.ReleaseWhenPodsGone,
			},
		},
		"what cannot be used is left out, and the rest counts": {
			spec: v1alpha1.RunQueueSpec{
				Paused: true, Order: "Random", FairBy: "Moon", Release: "Never",
				Waiting:    v1alpha1.Waiting{Keep: "Some", Max: -1, MaxAge: "1 day"},
				Priorities: []v1alpha1.PriorityRule{{When: "event.brunch == 'main'", Priority: 1}},
			},
			want: queue.Spec{Paused: true},
			wrong: []string{
				`spec.order is "Random": want Events, NewestFirst or Fair`,
				`spec.fairBy is "Moon": want Branch, PullRequest or Sender`,
				`spec.release is "Never": want Done or PodsGone`,
				`spec.waiting.maxAge is "1 day": want a time from 1s to 8760h, e.g. 30m`,
				`spec.priorities[0].when: undefined field 'brunch' (in column 6 of "event.brunch == 'main'")`,
			},
		},
		"a slot that is free once its run is done": {
			spec: v1alpha1.RunQueueSpec{Release: v1alpha1.ReleaseDone},
			want: queue.Spec{Release: queue.ReleaseWhenDone},
		},
		"an age that is too long": {
			spec:  v1alpha1.RunQueueSpec{Waiting: v1alpha1.Waiting{MaxAge: "8761h"}},
			wrong: []string{`spec.waiting.maxAge is "8761h": want a time from 1s to 8760h, e.g. 30m`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			shape, err := runqueue.Compile(tc.spec)
			if diff := cmp.Diff(tc.want, shape.Spec()); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(strings.Join(tc.wrong, "\n"), text(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

var subject = pac.Subject{
	Name: "ci-x7", Definition: "ci", Labels: map[string]string{"team": "infra"}, Annotations: map[string]string{"note": "hot fix"},
	Event: pac.SubjectEvent{Type: "pull_request", Branch: "hotfix/1", Target: "main", PullRequest: "7", Sender: "ann"},
}

func TestPriority(t *testing.T) {
	for when, holds := range map[string]bool{
		"true":                                     true,
		"event.type == 'push'":                     false,
		"event.target == 'main'":                   true,
		"event.branch.startsWith('hotfix/')":       true,
		"event.pullRequest != ''":                  true,
		"event.sender in ['ann', 'bob']":           true,
		"definition == 'ci' && name != 'ci'":       true,
		"labels.team == 'infra'":                   true,
		"labels['team'] == 'infra'":                true,
		"labels['app'] == 'shop'":                  false, // it has none
		"labels[?'app'].orValue('shop') == 'shop'": true,
		"'app' in labels":                          false,
		"annotations.note.contains('hot')":         true,
		"event.branch.matches('^hotfix/[0-9]+$')":  true,
	} {
		t.Run(when, func(t *testing.T) {
			shape, err := runqueue.Compile(v1alpha1.RunQueueSpec{Priorities: []v1alpha1.PriorityRule{{When: when, Priority: 5}}})
			if err != nil {
				t.Fatal(err)
			}
			is, err := shape.Priority(subject)
			if want := map[bool]int{true: 5}[holds]; is != want || err != nil {
				t.Errorf("priority %d, %v; want %d", is, err, want)
			}
		})
	}
}

// TestFirstRule: the first rule that holds counts, and a rule that fails does not keep the others
// from it.
func TestFirstRule(t *testing.T) {
	shape, err := runqueue.Compile(v1alpha1.RunQueueSpec{Priorities: []v1alpha1.PriorityRule{
		{When: "labels.absent == 'x'", Priority: 1},
		{When: "int(labels.team) > 1", Priority: 2},
		{When: "labels.team == 'infra'", Priority: 3},
		{When: "true", Priority: 4},
	}})
	if err != nil {
		t.Fatal(err)
	}
	is, err := shape.Priority(subject)
	if want := `"int(labels.team) > 1" does not count`; is != 3 || !strings.Contains(text(err), want) {
		t.Errorf("priority %d, %v; want 3 and %s", is, err, want)
	}
}

// TestCutTexts: whether a label is absent or left out nobody can tell.
func TestCutTexts(t *testing.T) {
	shape, err := runqueue.Compile(v1alpha1.RunQueueSpec{Priorities: []v1alpha1.PriorityRule{{When: "labels.absent == 'x'", Priority: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	full := subject
	full.Cut = "there are too many"
	if is, err := shape.Priority(full); is != 0 || !strings.Contains(text(err), "does not count: there are too many") {
		t.Errorf("priority %d, %v", is, err)
	}
}

// TestBadConditions: every one is an error that says what is wrong, and the queue does without all
// of its priorities.
func TestBadConditions(t *testing.T) {
	many := make([]v1alpha1.PriorityRule, 17)
	for i := range many {
		many[i] = v1alpha1.PriorityRule{When: "true"}
	}
	one := func(when string) []v1alpha1.PriorityRule {
		return []v1alpha1.PriorityRule{{When: "true", Priority: 3}, {When: when}}
	}
	for name, tc := range map[string]struct {
		rules []v1alpha1.PriorityRule
		want  string
	}{
		"no CEL":              {one("event.branch = 'main'"), "spec.priorities[1].when: Syntax error"},
		"no condition":        {one("event.branch"), `"event.branch" is string: want a condition, which is true or false`},
		"an unknown variable": {one("branch == 'main'"), "undeclared reference to 'branch'"},
		"an unknown function": {one("shell('rm')"), "undeclared reference to 'shell'"},
		"two kinds":           {one("event.branch == 7"), "found no matching overload"},
		"too costly": {
			one("labels.all(a, labels.all(b, labels.all(c, a != b && b != c)))"), "and at most 4000 is allowed",
		},
		"together too costly": {
			[]v1alpha1.PriorityRule{
				{When: "labels.exists(k, k.startsWith('team'))"},
				{When: "labels.exists(k, labels[k] == 'x')"},
				{When: "annotations.exists(k, annotations[k].contains('x'))"},
				{When: "annotations.exists(k, k.matches('a.*b'))"},
			},
			"and at most 4000 is allowed",
		},
		"deeply nested":           {one(strings.Repeat("(", 400) + "true" + strings.Repeat(")", 400)), "spec.priorities[1].when: "},
		"a priority too high":     {[]v1alpha1.PriorityRule{{When: "true", Priority: 1001}}, "want a number from -1000 to 1000"},
		"a list that is too long": {many, "spec.priorities has 17 rules: want at most 16"},
	} {
		t.Run(name, func(t *testing.T) {
			shape, err := runqueue.Compile(v1alpha1.RunQueueSpec{Priorities: tc.rules})
			if !strings.Contains(text(err), tc.want) {
				t.Errorf("error %q, want %q in it", text(err), tc.want)
			}
			if is, err := shape.Priority(subject); is != 0 || err != nil {
				t.Errorf("priority %d, %v", is, err)
			}
		})
	}
}

// TestCost: what people will write is well within the bound, all of it together.
func TestCost(t *testing.T) {
	rules := []v1alpha1.PriorityRule{
		{When: "event.type == 'push' && event.branch == 'main'", Priority: 100},
		{When: "event.branch.startsWith('release/') || event.branch.startsWith('hotfix/')", Priority: 90},
		{When: "labels[?'team'].orValue('') in ['infra', 'sre']", Priority: 50},
		{When: "definition.endsWith('-deploy')", Priority: 40},
		{When: "event.sender == 'renovate[bot]' || event.sender == 'dependabot[bot]'", Priority: -100},
	}
	for i := range 11 {
		rules = append(rules, v1alpha1.PriorityRule{When: fmt.Sprintf("labels[?'shard'].orValue('') == '%d'", i), Priority: int32(i)})
	}
	if _, err := runqueue.Compile(v1alpha1.RunQueueSpec{Priorities: rules}); err != nil {
		t.Error(err)
	}
}

func BenchmarkPriority(b *testing.B) {
	shape, err := runqueue.Compile(v1alpha1.RunQueueSpec{Priorities: []v1alpha1.PriorityRule{
		{When: "event.type == 'push' && event.branch == 'main'", Priority: 100},
		{When: "labels[?'team'].orValue('') in ['infra2', 'sre']", Priority: 50},
	}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := shape.Priority(subject); err != nil {
			b.Fatal(err)
		}
	}
}
