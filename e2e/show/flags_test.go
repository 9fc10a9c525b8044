package show

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

type options struct {
	Queue string
	Runs  int
	Kill  bool
	Every time.Duration
	Seed  uint64
	Only  []string
	Limit int
}

func configure(args []string, env map[string]string) (options, Show, error) {
	c := options{Queue: "lease", Runs: 8, Kill: true}
	s := Show{Name: "test", Flags: func(flags *pflag.FlagSet) {
		flags.Var(Choice(&c.Queue, "lease", "pac"), "queue", "")
		flags.Var(Number(&c.Runs, 1, 500), "runs", "")
		flags.BoolVar(&c.Kill, "kill", c.Kill, "")
		flags.DurationVar(&c.Every, "every", 0, "")
		flags.Uint64Var(&c.Seed, "seed", 0, "")
		flags.StringSliceVar(&c.Only, "only", nil, "")
		flags.Var(Number(&c.Limit, 1, 9), "limit", "")
	}}
	err := s.Configure(args, func(name string) string { return env[name] })
	return c, s, err
}

func TestFlagsAndEnvironment(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		want options
		keep bool
	}{
		"neither": {want: options{Queue: "lease", Runs: 8, Kill: true}},
		"flags": {
			args: []string{"--queue=pac", "--runs", "9", "--kill=0", "--every=90s", "--seed=7", "--only=a,b", "--keep"},
			want: options{Queue: "pac", Runs: 9, Every: 90 * time.Second, Seed: 7, Only: []string{"a", "b"}}, keep: true,
		},
		"environment": {
			env:  map[string]string{"QUEUE": "pac", "RUNS": "9", "KILL": "0", "EVERY": "90s", "SEED": "7", "ONLY": "a,b", "KEEP": "1"},
			want: options{Queue: "pac", Runs: 9, Every: 90 * time.Second, Seed: 7, Only: []string{"a", "b"}}, keep: true,
		},
		"a flag wins over its variable": {
			args: []string{"--runs=9"}, env: map[string]string{"RUNS": "many"},
			want: options{Queue: "lease", Runs: 9, Kill: true},
		},
		"an empty variable is absent": {env: map[string]string{"RUNS": ""}, want: options{Queue: "lease", Runs: 8, Kill: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got, s, err := configure(tc.args, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || s.keep != tc.keep {
				t.Errorf("keep %t, options (-want +got):\n%s", s.keep, diff)
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

// The settings that a show prints configure another one like it.
func TestSettingsRepeatTheShow(t *testing.T) {
	want, s, err := configure([]string{"--queue=pac", "--kill=0", "--every=90s", "--seed=7", "--only=a,b", "--keep"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := "QUEUE=pac RUNS=8 KILL=0 EVERY=1m30s SEED=7 ONLY=a,b KEEP=1"; s.settings != text {
		t.Errorf("settings %q, want %q", s.settings, text)
	}
	env := map[string]string{}
	for _, setting := range strings.Fields(s.settings) {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	got, again, err := configure(nil, env)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || again.keep != s.keep {
		t.Errorf("keep %t, options (-want +got):\n%s", again.keep, diff)
	}
}
