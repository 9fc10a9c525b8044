package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
)

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want config
		err  string
	}{
		"defaults": {
			want: config{Queue: "lease", Runs: 8, Limit: 2, Replicas: 2, Watchers: 1, Kill: true},
		},
		"everything": {
			env:  map[string]string{"QUEUE": "lease", "RUNS": "20", "LIMIT": "3", "REPLICAS": "3", "WATCHERS": "2", "KILL": "1"},
			want: config{Queue: "lease", Runs: 20, Limit: 3, Replicas: 3, Watchers: 2, Kill: true},
		},
		"no kill": {
			env:  map[string]string{"KILL": "0"},
			want: config{Queue: "lease", Runs: 8, Limit: 2, Replicas: 2, Watchers: 1},
		},
		"no replica would be left": {
			env:  map[string]string{"REPLICAS": "1"},
			want: config{Queue: "lease", Runs: 8, Limit: 2, Replicas: 1, Watchers: 1},
		},
		"PAC alone": {
			env:  map[string]string{"QUEUE": "pac", "REPLICAS": "3"},
			want: config{Queue: "pac", Runs: 8, Limit: 2, Watchers: 1},
		},
		"negative control": {
			env:  map[string]string{"QUEUE": "pac", "WATCHERS": "2"},
			want: config{Queue: "pac", Runs: 12, Limit: 1, Watchers: 2},
		},
		"negative control with a limit": {
			env:  map[string]string{"QUEUE": "pac", "WATCHERS": "2", "LIMIT": "4", "RUNS": "9"},
			want: config{Queue: "pac", Runs: 9, Limit: 4, Watchers: 2},
		},
		"bad values": {
			env: map[string]string{
				"QUEUE": "redis", "RUNS": "0", "LIMIT": "two", "REPLICAS": "-1", "WATCHERS": "99", "KILL": "no", "KEEP": "yes",
			},
			err: `QUEUE is "redis": want one of [lease pac]
RUNS is "0": want a number from 1 to 500
LIMIT is "two": want a number from 1 to 100
REPLICAS is "-1": want a number from 1 to 5
WATCHERS is "99": want a number from 1 to 4
KILL is "no": want 0 or 1
KEEP is "yes": want 0 or 1`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := newConfig()
			s := show.Show{Flags: got.define, Check: got.complete}
			err := s.Configure(nil, func(name string) string { return tc.env[name] })
			if message(err) != tc.err {
				t.Fatalf("error:\n%s\nwant:\n%s", message(err), tc.err)
			}
			if diff := cmp.Diff(tc.want, *got); err == nil && diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// The deadline leaves room for the slowest queue that was seen to work: PAC's own with one watcher
// took 141 s for 40 runs one at a time.
func TestQueueDeadlineScales(t *testing.T) {
	slow := config{Runs: 40, Limit: 1}.queueDeadline()
	if slow.Seconds() < 2*141 {
		t.Errorf("40 runs one at a time get %s", slow)
	}
	if fast := (config{Runs: 8, Limit: 2}).queueDeadline(); fast >= slow {
		t.Errorf("8 runs two at a time get %s, 40 one at a time get %s", fast, slow)
	}
}
