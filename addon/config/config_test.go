package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

func TestParse(t *testing.T) {
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
				"annotations-interval": "1m", "annotations-positions": "0",
			},
			func() config.Config {
				var c config.Config
				c.Backend, c.PACNamespace, c.PACGlobalRepository = store.Lease, "openshift-pipelines", "all"
				c.Policy.ClaimTTL, c.Policy.OrderGrace, c.Policy.ReadyGrace = 40*time.Second, 10*time.Second, time.Minute
				c.Policy.BackoffBase, c.Policy.BackoffMax = 2*time.Second, 10*time.Minute
				c.Recovery.TakeoverAfter, c.Recovery.Interval = 2500*time.Millisecond, 500*time.Millisecond
				c.MetricsMaxQueues = 7
				c.Annotations.Interval, c.Annotations.Positions = time.Minute, 0
				return c
			}(),
		},
		"hand-back":         {map[string]string{"hand-back": "true"}, but(func(c *config.Config) { c.HandBack = true })},
		"the other backend": {map[string]string{"backend": "memory"}, but(func(c *config.Config) { c.Backend = store.Memory })},
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
			got, err := config.Parse(tc.data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const settings = "annotations-interval, annotations-positions, backend, backoff-base, backoff-max, claim-ttl, hand-back, " +
		"metrics-max-queues, order-grace, pac-global-repository, pac-namespace, readiness-grace, recovery-interval, takeover-after"
	const label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " +
		"an alphanumeric character " +
		"(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
	for name, tc := range map[string]struct {
		data map[string]string
		want []string // the lines of the error
	}{
		"unknown setting": {
			map[string]string{"claim_ttl": "30s"},
			[]string{"claim_ttl: there is no such setting; there are " + settings},
		},
		"settings are lower case": {
			map[string]string{"Backend": "lease"},
			[]string{"Backend: there is no such setting; there are " + settings},
		},
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
			map[string]string{"metrics-max-queues": "1001", "annotations-positions": "-1", "annotations-interval": "0s"},
			[]string{
				"metrics-max-queues: 1001 is not between 0 and 1000", "annotations-positions: -1 is not between 0 and 1000",
				"annotations-interval: 0s is not between 1s and 1h0m0s",
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
			map[string]string{"claim-ttl": "2s"},
			[]string{"takeover-after: 3s is not shorter than claim-ttl, 2s; claims would expire before another replica takes over"},
		},
		"all that cannot be read, at once": {
			map[string]string{"claim-ttl": "x", "a": "", "backoff-max": "y", "backend": "etcd"},
			[]string{
				"a: there is no such setting; there are " + settings,
				`backoff-max: "y" is not a duration; write a number and a unit, e.g. 30s or 5m`,
				`claim-ttl: "x" is not a duration; write a number and a unit, e.g. 30s or 5m`,
			},
		},
		"all that does not fit, at once": {
			map[string]string{"backend": "etcd", "claim-ttl": "2h", "order-grace": "25h", "backoff-base": "2h", "backoff-max": "1h"},
			[]string{
				`backend: "etcd" is not a backend; there are ["lease" "memory"]`,
				"claim-ttl: 2h0m0s is not between 1s and 1h0m0s",
				"order-grace: 25h0m0s is not between 1s and 24h0m0s",
				"backoff-base: 2h0m0s is not between 1s and 1h0m0s",
				"backoff-base: 2h0m0s is longer than backoff-max, 1h0m0s",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.Parse(tc.data)
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			if diff := cmp.Diff(tc.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if got != (config.Config{}) {
				t.Errorf("something of a wrong ConfigMap is used: %+v", got)
			}
		})
	}
}

// render writes a configuration as the ConfigMap that it comes from.
func render(c config.Config) map[string]string {
	return map[string]string{
		"backend": string(c.Backend), "pac-namespace": c.PACNamespace,
		"claim-ttl": c.Policy.ClaimTTL.String(), "order-grace": c.Policy.OrderGrace.String(),
		"readiness-grace": c.Policy.ReadyGrace.String(),
		"backoff-base":    c.Policy.BackoffBase.String(), "backoff-max": c.Policy.BackoffMax.String(),
		"takeover-after": c.Recovery.TakeoverAfter.String(), "recovery-interval": c.Recovery.Interval.String(),
	}
}

func FuzzParse(f *testing.F) {
	f.Add("claim-ttl", "30s", "takeover-after", "29.9s")
	f.Add("backoff-base", "1s", "backoff-max", "24h")
	f.Add("pac-namespace", "a.b", "_example", "x")
	f.Add("backend", "memory", "no-such-setting", "")
	f.Add("recovery-interval", "-9223372036854775808ns", "order-grace", "1e3s")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		c, err := config.Parse(map[string]string{key1: value1, key2: value2})
		if err != nil {
			if c != (config.Config{}) {
				t.Errorf("refused, but something of it is used: %+v", c)
			}
			return
		}
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
			t.Errorf("accepted although settings contradict each other: %+v", c)
		}
		if c.Backend != store.Lease || c.PACNamespace == "" {
			t.Errorf("backend %q, namespace %q", c.Backend, c.PACNamespace)
		}
		again, err := config.Parse(render(c))
		if err != nil || again != c {
			t.Errorf("%+v is accepted, but written out and read again it is %+v, %v", c, again, err)
		}
	})
}
