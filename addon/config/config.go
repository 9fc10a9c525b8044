// Package config reads the product's ConfigMap in three steps: decode strictly,
// default, validate. A wrong setting is an error that names the key, says what
// was wrong and what would be right; nothing of a wrong ConfigMap is used.
package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pac-lease-queue/pac-lease-queue/addon/engine/recovery"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

// Config is the product's configuration.
type Config struct {
	Backend      store.Backend
	PACNamespace string
	// PACGlobalRepository is PAC's global Repository, in its namespace.
	PACGlobalRepository string
	// HandBack gives every queued run back to Pipelines-as-Code.
	HandBack bool
	Policy   queue.Policy
	Recovery recovery.Timing
	// Annotations bounds what is written on runs for people.
	Annotations Annotations
	// MetricsMaxQueues is how many queues have metrics of their own at most.
	MetricsMaxQueues int
}

// HandBackKey is the key by which [Config.HandBack] is turned on.
const HandBackKey = "hand-back"

// Annotations bounds what a replica writes on runs for people.
type Annotations struct {
	// Interval is the least time between two rounds over a queue.
	Interval time.Duration
	// Positions is how many runs, from the front, are told their exact position; zero writes
	// nothing.
	Positions int
}

// Defaults is the configuration of an empty ConfigMap.
func Defaults() Config {
	return Config{
		Backend:             store.Lease,
		PACNamespace:        "pipelines-as-code",
		PACGlobalRepository: "pipelines-as-code",
		Policy: queue.Policy{
			ClaimTTL:    30 * time.Second,
			OrderGrace:  30 * time.Second,
			ReadyGrace:  60 * time.Second,
			BackoffBase: 5 * time.Second,
			BackoffMax:  5 * time.Minute,
		},
		Recovery:         recovery.Timing{Interval: time.Second, TakeoverAfter: 3 * time.Second},
		Annotations:      Annotations{Interval: 10 * time.Second, Positions: 20},
		MetricsMaxQueues: 100,
	}
}

// mostMetricsQueues is well within what OpenTelemetry keeps apart.
const mostMetricsQueues = 1000

// mostPositions keeps a round of annotations within what an API server is glad to
// take at once.
const mostPositions = 1000

// example is what begins the name of keys that are for readers: knative's
// ConfigMaps document themselves in one.
const example = "_example"

// Parse reads the data of a ConfigMap. All that is wrong with it is in the error.
func Parse(data map[string]string) (Config, error) {
	c := Defaults()
	durations := map[string]*time.Duration{
		"claim-ttl":         &c.Policy.ClaimTTL,
		"order-grace":       &c.Policy.OrderGrace,
		"readiness-grace":   &c.Policy.ReadyGrace,
		"backoff-base":      &c.Policy.BackoffBase,
		"backoff-max":       &c.Policy.BackoffMax,
		"takeover-after":    &c.Recovery.TakeoverAfter,
		"recovery-interval": &c.Recovery.Interval,

		"annotations-interval": &c.Annotations.Interval,
	}
	counts := map[string]*int{
		"annotations-positions": &c.Annotations.Positions,
		"metrics-max-queues":    &c.MetricsMaxQueues,
	}
	known := slices.Concat(slices.Collect(maps.Keys(durations)), slices.Collect(maps.Keys(counts)),
		[]string{"backend", HandBackKey, "pac-global-repository", "pac-namespace"})
	slices.Sort(known)

	var wrong []error
	for _, key := range slices.Sorted(maps.Keys(data)) {
		value := strings.TrimSpace(data[key])
		field, isDuration := durations[key]
		number, isCount := counts[key]
		switch {
		case strings.HasPrefix(key, example):
		case isDuration:
			d, err := time.ParseDuration(value)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %q is not a duration; write a number and a unit, e.g. 30s or 5m", key, value))
				continue
			}
			*field = d
		case key == "backend":
			c.Backend = store.Backend(value)
		case key == HandBackKey:
			b, err := strconv.ParseBool(value)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %q is neither true nor false", key, value))
				continue
			}
			c.HandBack = b
		case isCount:
			n, err := strconv.Atoi(value)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %q is not a whole number", key, value))
				continue
			}
			*number = n
		case key == "pac-namespace":
			c.PACNamespace = value
		case key == "pac-global-repository":
			c.PACGlobalRepository = value
		default:
			wrong = append(wrong, fmt.Errorf("%s: there is no such setting; there are %s", key, strings.Join(known, ", ")))
		}
	}
	if len(wrong) > 0 {
		return Config{}, errors.Join(wrong...)
	}
	if err := c.validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (c Config) validate() error {
	var wrong []error
	refuse := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	refuse(slices.Contains(store.Backends, c.Backend), "backend: %q is not a backend; there are %q", c.Backend, store.Backends)
	problems := validation.IsDNS1123Label(c.PACNamespace)
	refuse(len(problems) == 0, "pac-namespace: %q is not the name of a namespace: %s", c.PACNamespace, strings.Join(problems, "; "))
	problems = validation.IsDNS1123Subdomain(c.PACGlobalRepository)
	refuse(len(problems) == 0, "pac-global-repository: %q is not the name of a Repository: %s", c.PACGlobalRepository,
		strings.Join(problems, "; "))
	refuse(0 <= c.MetricsMaxQueues && c.MetricsMaxQueues <= mostMetricsQueues, "metrics-max-queues: %d is not between 0 and %d",
		c.MetricsMaxQueues, mostMetricsQueues)
	refuse(0 <= c.Annotations.Positions && c.Annotations.Positions <= mostPositions,
		"annotations-positions: %d is not between 0 and %d", c.Annotations.Positions, mostPositions)
	for _, d := range []struct {
		key      string
		is       time.Duration
		from, to time.Duration
	}{
		{"claim-ttl", c.Policy.ClaimTTL, time.Second, time.Hour},
		{"order-grace", c.Policy.OrderGrace, time.Second, 24 * time.Hour},
		{"readiness-grace", c.Policy.ReadyGrace, time.Second, 24 * time.Hour},
		{"backoff-base", c.Policy.BackoffBase, time.Second, time.Hour},
		{"backoff-max", c.Policy.BackoffMax, time.Second, 24 * time.Hour},
		{"takeover-after", c.Recovery.TakeoverAfter, 100 * time.Millisecond, time.Hour},
		{"recovery-interval", c.Recovery.Interval, 100 * time.Millisecond, time.Minute},
		{"annotations-interval", c.Annotations.Interval, time.Second, time.Hour},
	} {
		refuse(d.from <= d.is && d.is <= d.to, "%s: %s is not between %s and %s", d.key, d.is, d.from, d.to)
	}
	refuse(c.Policy.BackoffBase <= c.Policy.BackoffMax, "backoff-base: %s is longer than backoff-max, %s", c.Policy.BackoffBase,
		c.Policy.BackoffMax)
	refuse(c.Recovery.TakeoverAfter < c.Policy.ClaimTTL,
		"takeover-after: %s is not shorter than claim-ttl, %s; claims would expire before another replica takes over",
		c.Recovery.TakeoverAfter, c.Policy.ClaimTTL)
	return errors.Join(wrong...)
}
