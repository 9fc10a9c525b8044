package show

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

type settings struct {
	Queue string
	Runs  int
	Kill  bool
	Every time.Duration
	Seed  uint64
}

func configure(args []string, env map[string]string) (settings, bool, error) {
	c := settings{Queue: "lease", Runs: 8, Kill: true}
	s := Show{Name: "test", Flags: func(flags *pflag.FlagSet) {
		flags.Var(Choice(&c.Queue, "lease", "pac"), "queue", "")
		flags.Var(Number(&c.Runs, 1, 500), "runs", "")
		flags.BoolVar(&c.Kill, "kill", c.Kill, "")
		flags.DurationVar(&c.Every, "every", 0, "")
		flags.Uint64Var(&c.Seed, "seed", 0, "")
	}}
	err := s.Configure(args, func(name string) string { return env[name] })
	return c, s.keep, err
}

func TestFlagsAndEnvironment(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		want settings
		keep bool
	}{
		"neither": {want: settings{Queue: "lease", Runs: 8, Kill: true}},
		"flags": {
			args: []string{"--queue=pac", "--runs", "9", "--kill=0", "--every=90s", "--seed=7", "--keep"},
			want: settings{Queue: "pac", Runs: 9, Every: 90 * time.Second, Seed: 7}, keep: true,
		},
		"environment": {
			env:  map[string]string{"QUEUE": "pac", "RUNS": "9", "KILL": "0", "EVERY": "90s", "SEED": "7", "KEEP": "1"},
			want: settings{Queue: "pac", Runs: 9, Every: 90 * time.Second, Seed: 7}, keep: true,
		},
		"a flag wins over its variable": {
			args: []string{"--runs=9"}, env: map[string]string{"RUNS": "many"},
			want: settings{Queue: "lease", Runs: 9, Kill: true},
		},
		"an empty variable is absent": {env: map[string]string{"RUNS": ""}, want: settings{Queue: "lease", Runs: 8, Kill: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got, keep, err := configure(tc.args, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || keep != tc.keep {
				t.Errorf("keep %t, settings (-want +got):\n%s", keep, diff)
			}
		})
	}
}

func TestBadValuesAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"environment": {
			env: map[string]string{"QUEUE": "redis", "RUNS": "0", "KILL": "no", "EVERY": "soon", "SEED": "-1", "KEEP": "yes"},
			want: `QUEUE is "redis": want one of [lease pac]
RUNS is "0": want a number from 1 to 500
KILL is "no": want 0 or 1
EVERY is "soon": want a duration such as 90s or 10m
SEED is "-1": want a number that is not negative
KEEP is "yes": want 0 or 1`,
		},
		"flag":     {args: []string{"--runs=501"}, want: `invalid argument "501" for "--runs" flag: want a number from 1 to 500`},
		"unknown":  {args: []string{"--speed=3"}, want: "unknown flag: --speed"},
		"argument": {args: []string{"RUNS=9"}, want: `unexpected arguments ["RUNS=9"]: flags begin with --`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := configure(tc.args, tc.env); err == nil || err.Error() != tc.want {
				t.Errorf("error:\n%v\nwant:\n%s", err, tc.want)
			}
		})
	}
}

func TestCheckRunsLast(t *testing.T) {
	runs, wrong := 1, errors.New("an even number is wrong")
	s := Show{
		Flags: func(flags *pflag.FlagSet) { flags.Var(Number(&runs, 0, 9), "runs", "") },
		Check: func() error {
			if runs%2 == 0 {
				return wrong
			}
			return nil
		},
	}
	if err := s.Configure([]string{"--runs=2"}, func(string) string { return "" }); !errors.Is(err, wrong) {
		t.Errorf("%v, want %v", err, wrong)
	}
}
