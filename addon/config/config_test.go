package config_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

func TestRead(t *testing.T) {
	but := func(change func(*config.Config)) config.Config {
		c := config.Defaults()
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		data map[string]string
		want config.Config
	}{
		"nothing":              {nil, config.Defaults()},
		"empty":                {map[string]string{}, config.Defaults()},
		"knative's example":    {map[string]string{"_example": "claim-ttl: 1s\nnonsense"}, config.Defaults()},
		"examples by any name": {map[string]string{"_example-2": "x"}, config.Defaults()},
		"every setting": {
			map[string]string{
				"backend": "lease", "pac-namespace": "openshift-pipelines", "pac-global-repository": "all", "hand-back": "false",
				"claim-ttl": "40s", "order-grace": "10s", "readiness-grace": "1m", "backoff-base": "2s", "backoff-max": "10m",
				"takeover-after": "2500ms", "recovery-interval": "500ms", "metrics-max-queues": "7",
				"annotations-interval": "1m", "annotations-positions": "0", "texts-per-second": "1",
				"kueue-accounts": "system:serviceaccount:a:b,c",
			},
			func() config.Config {
				var c config.Config
				c.Backend, c.PACNamespace, c.PACGlobalRepository = store.Lease, "openshift-pipelines", "all"
				c.Policy.ClaimTTL, c.Policy.OrderGrace, c.Policy.ReadyGrace = 40*time.Second, 10*time.Second, time.Minute
				c.Policy.BackoffBase, c.Policy.BackoffMax = 2*time.Second, 10*time.Minute
				c.Recovery.TakeoverAfter, c.Recovery.Interval = 2500*time.Millisecond, 500*time.Millisecond
				c.MetricsMaxQueues, c.TextsPerSecond = 7, 1
				c.Annotations.Interval, c.Annotations.Positions = time.Minute, 0
				c.KueueAccounts = "system:serviceaccount:a:b,c"
				return c
			}(),
		},
		"hand-back":                     {map[string]string{"hand-back": "true"}, but(func(c *config.Config) { c.HandBack = true })},
		"the other backend":             {map[string]string{"backend": "memory"}, but(func(c *config.Config) { c.Backend = store.Memory })},
		"nothing starts runs for Kueue": {map[string]string{"kueue-accounts": ""}, but(func(c *config.Config) { c.KueueAccounts = "" })},
		"blanks around a value": {
			map[string]string{"claim-ttl": " 45s\n", "backend": "lease\n"},
			but(func(c *config.Config) { c.Policy.ClaimTTL = 45 * time.Second }),
		},
		"the smallest": {
			map[string]string{
				"takeover-after": "100ms", "recovery-interval": "100ms", "claim-ttl": "1s", "backoff-base": "1s",
				"backoff-max": "1s",
			},
			but(func(c *config.Config) {
				c.Recovery.TakeoverAfter, c.Recovery.Interval = 100*time.Millisecond, 100*time.Millisecond
				c.Policy.ClaimTTL, c.Policy.BackoffBase, c.Policy.BackoffMax = time.Second, time.Second, time.Second
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := config.Read(tc.data)
			if got.Wrong != nil || got.Vital != nil || got.Unknown != nil {
				t.Errorf("wrong: %v; vital: %v; unknown: %q", got.Wrong, got.Vital, got.Unknown)
			}
			if diff := cmp.Diff(tc.want, got.Config); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	const label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " +
		"an alphanumeric character " +
		"(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
	for name, tc := range map[string]struct {
		data map[string]string
		want []string // the lines of the error
	}{
		"no duration": {
			map[string]string{"claim-ttl": "soon"},
			[]string{`claim-ttl: "soon" is not a duration; write a number and a unit, e.g. 30s or 5m`},
		},
		"a duration without a unit": {
			map[string]string{"order-grace": "30"},
			[]string{`order-grace: "30" is not a duration; write a number and a unit, e.g. 30s or 5m`},
		},
		"an empty duration": {
			map[string]string{"takeover-after": ""},
			[]string{`takeover-after: "" is not a duration; write a number and a unit, e.g. 30s or 5m`},
		},
		"a duration beyond numbers": {
			map[string]string{"backoff-max": "9999999h"},
			[]string{`backoff-max: "9999999h" is not a duration; write a number and a unit, e.g. 30s or 5m`},
		},
		"zero": {
			map[string]string{"readiness-grace": "0s"},
			[]string{"readiness-grace: 0s is not between 1s and 24h0m0s"},
		},
		"negative": {
			map[string]string{"recovery-interval": "-1s"},
			[]string{"recovery-interval: -1s is not between 100ms and 1m0s"},
		},
		"too long": {
			map[string]string{"claim-ttl": "1h1s"},
			[]string{"claim-ttl: 1h0m1s is not between 1s and 1h0m0s"},
		},
		"neither yes nor no": {
			map[string]string{"hand-back": "perhaps"},
			[]string{`hand-back: "perhaps" is neither true nor false`},
		},
		"no number": {
			map[string]string{"metrics-max-queues": "many"},
			[]string{`metrics-max-queues: "many" is not a whole number`},
		},
		"more than can be told apart": {
			map[string]string{
				"metrics-max-queues": "1001", "annotations-positions": "-1", "annotations-interval": "0s",
				"texts-per-second": "0",
			},
			[]string{
				"annotations-interval: 0s is not between 1s and 1h0m0s", "annotations-positions: -1 is not between 0 and 1000",
				"metrics-max-queues: 1001 is not between 0 and 1000", "texts-per-second: 0 is not between 1 and 10000",
			},
		},
		"unknown backend": {
			map[string]string{"backend": "etcd"},
			[]string{`backend: "etcd" is not a backend; there are ["lease" "memory"]`},
		},
		"no backend": {
			map[string]string{"backend": ""},
			[]string{`backend: "" is not a backend; there are ["lease" "memory"]`},
		},
		"no name of a namespace": {
			map[string]string{"pac-namespace": "Pipelines as Code"},
			[]string{`pac-namespace: "Pipelines as Code" is not the name of a namespace: ` + label},
		},
		"backoffs the wrong way round": {
			map[string]string{"backoff-base": "10s", "backoff-max": "5s"},
			[]string{"backoff-base: 10s is longer than backoff-max, 5s"},
		},
		"takeover as long as the claim": {
			map[string]string{"takeover-after": "30s"},
			[]string{"takeover-after: 30s is not shorter than claim-ttl, 30s; claims would expire before another replica takes over"},
		},
		"a shorter claim than the default takeover": {
			map[string]string{"claim-ttl": "1s"},
			[]string{"takeover-after: 1s is not shorter than claim-ttl, 1s; claims would expire before another replica takes over"},
		},
		"all that cannot be used, at once": {
			map[string]string{"claim-ttl": "x", "backoff-max": "y", "backend": "etcd", "order-grace": "25h", "backoff-base": "2h"},
			[]string{
				`backend: "etcd" is not a backend; there are ["lease" "memory"]`,
				"backoff-base: 2h0m0s is not between 1s and 1h0m0s",
				`backoff-max: "y" is not a duration; write a number and a unit, e.g. 30s or 5m`,
				`claim-ttl: "x" is not a duration; write a number and a unit, e.g. 30s or 5m`,
				"order-grace: 25h0m0s is not between 1s and 24h0m0s",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := config.Read(tc.data)
			if got.Wrong == nil {
				t.Fatalf("no error, but %+v", got)
			}
			if diff := cmp.Diff(tc.want, strings.Split(got.Wrong.Error(), "\n")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(config.Defaults(), got.Config); diff != "" {
				t.Errorf("a wrong setting is used (-defaults +got):\n%s", diff)
			}
		})
	}
}

// T10: a key that this version does not have takes nothing down and hides nothing else.
func TestUnknownSettingsHaveNoEffect(t *testing.T) {
	got := config.Read(map[string]string{"Backend": "memory", "claim_ttl": "1s", "of-a-newer-chart": "x", "claim-ttl": "45s"})
	want := config.Defaults()
	want.Policy.ClaimTTL = 45 * time.Second
	if diff := cmp.Diff(want, got.Config); diff != "" || got.Wrong != nil || got.Vital != nil {
		t.Errorf("wrong: %v; vital: %v; configuration (-want +got):\n%s", got.Wrong, got.Vital, diff)
	}
	if diff := cmp.Diff([]string{"Backend", "claim_ttl", "of-a-newer-chart"}, got.Unknown); diff != "" {
		t.Errorf("unknown settings (-want +got):\n%s", diff)
	}
}

// What all replicas must agree on has no default: a replica that cannot read it does not start.
func TestVitalSettings(t *testing.T) {
	var vital []string
	for _, key := range config.Settings() {
		if r := config.Read(map[string]string{key: "?"}); r.Wrong == nil {
			t.Errorf("%s may be anything", key)
		} else if r.Vital != nil {
			vital = append(vital, key)
		}
	}
	if diff := cmp.Diff([]string{"backend", "hand-back", "pac-global-repository", "pac-namespace"}, vital); diff != "" {
		t.Errorf("vital settings (-want +got):\n%s", diff)
	}
}

// T10: a running replica hears hand-back whatever else is wrong, and nothing else then.
func TestHandBackIsAlwaysHeard(t *testing.T) {
	was := config.Defaults()
	was.Policy.ClaimTTL = 45 * time.Second
	handsBack := was
	handsBack.HandBack = true
	for name, tc := range map[string]struct {
		was  config.Config
		data map[string]string
		want config.Config
	}{
		"on":             {was, map[string]string{"hand-back": "true", "backend": "etcd", "claim-ttl": "50s"}, handsBack},
		"off":            {handsBack, map[string]string{"hand-back": "false", "claim-ttl": "soon"}, was},
		"off by absence": {handsBack, map[string]string{"claim-ttl": "soon"}, was},
		"unreadable":     {handsBack, map[string]string{"hand-back": "perhaps", "claim-ttl": "50s"}, handsBack},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, config.Read(tc.data).After(tc.was)); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
	usable := config.Read(map[string]string{"hand-back": "true", "claim-ttl": "50s"})
	if diff := cmp.Diff(usable.Config, usable.After(was)); diff != "" {
		t.Errorf("a usable ConfigMap is not used as it is (-want +got):\n%s", diff)
	}
}

// render writes a configuration as the ConfigMap that it comes from.
func render(c config.Config) map[string]string {
	return map[string]string{
		"backend": string(c.Backend), "pac-namespace": c.PACNamespace, "pac-global-repository": c.PACGlobalRepository,
		"hand-back": strconv.FormatBool(c.HandBack), "annotations-interval": c.Annotations.Interval.String(),
		"annotations-positions": strconv.Itoa(c.Annotations.Positions), "metrics-max-queues": strconv.Itoa(c.MetricsMaxQueues),
		"claim-ttl": c.Policy.ClaimTTL.String(), "order-grace": c.Policy.OrderGrace.String(),
		"readiness-grace": c.Policy.ReadyGrace.String(),
		"backoff-base":    c.Policy.BackoffBase.String(), "backoff-max": c.Policy.BackoffMax.String(),
		"takeover-after": c.Recovery.TakeoverAfter.String(), "recovery-interval": c.Recovery.Interval.String(),
		"texts-per-second": strconv.Itoa(c.TextsPerSecond),
	}
}

func FuzzRead(f *testing.F) {
	f.Add("claim-ttl", "30s", "takeover-after", "29.9s")
	f.Add("backoff-base", "1s", "backoff-max", "24h")
	f.Add("pac-namespace", "a.b", "_example", "x")
	f.Add("backend", "memory", "no-such-setting", "")
	f.Add("recovery-interval", "-9223372036854775808ns", "order-grace", "1e3s")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		c := config.Read(map[string]string{key1: value1, key2: value2}).Config
		for name, d := range map[string]time.Duration{
			"claim TTL": c.Policy.ClaimTTL, "order grace": c.Policy.OrderGrace, "readiness grace": c.Policy.ReadyGrace,
			"back-off base": c.Policy.BackoffBase, "back-off max": c.Policy.BackoffMax,
			"takeover": c.Recovery.TakeoverAfter, "interval": c.Recovery.Interval,
		} {
			if d < 100*time.Millisecond || d > 24*time.Hour {
				t.Errorf("%s is %s", name, d)
			}
		}
		if c.Policy.BackoffBase > c.Policy.BackoffMax || c.Recovery.TakeoverAfter >= c.Policy.ClaimTTL {
			t.Errorf("used although settings contradict each other: %+v", c)
		}
		if !slices.Contains(store.Backends, c.Backend) || c.PACNamespace == "" {
			t.Errorf("backend %q, namespace %q", c.Backend, c.PACNamespace)
		}
		if again := config.Read(render(c)); again.Wrong != nil || again.Unknown != nil || again.Config != c {
			t.Errorf("%+v is used, but written out and read again it is %+v", c, again)
		}
	})
}
