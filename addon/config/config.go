// Package config reads the product's ConfigMap in three steps: decode strictly, default, validate.
// A setting that cannot be used is an error that names the key, says what is wrong and what would
// be right. A key that this version does not have is no error: neither a rollback nor the ConfigMap
// of a newer chart may stop a replica.
package config

import (
	"errors"
	"fmt"
	"regexp"
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
	// KueueAccounts are the accounts by which Kueue starts runs, separated by commas. If there are
	// none, this product starts the runs that are labelled for Kueue itself.
	KueueAccounts string
	Policy        queue.Policy
	Recovery      recovery.Timing
	// Annotations bounds what is written on runs for people.
	Annotations Annotations
	// TextsPerSecond is how many texts for people, events and annotations together, a replica
	// writes per second at most.
	TextsPerSecond int
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
		KueueAccounts:       "system:serviceaccount:tekton-kueue:tekton-kueue-controller-manager",
		Policy: queue.Policy{
			ClaimTTL:    30 * time.Second,
			OrderGrace:  30 * time.Second,
			ReadyGrace:  60 * time.Second,
			BackoffBase: 5 * time.Second,
			BackoffMax:  5 * time.Minute,
		},
		Recovery:         recovery.Timing{Interval: 200 * time.Millisecond, TakeoverAfter: time.Second},
		Annotations:      Annotations{Interval: 10 * time.Second, Positions: 20},
		TextsPerSecond:   20,
		MetricsMaxQueues: 100,
	}
}

// mostMetricsQueues is well within what OpenTelemetry keeps apart.
const mostMetricsQueues = 1000

// mostPositions keeps a round of annotations within what an API server is glad to
// take at once.
const mostPositions = 1000

// mostTexts per second are more than any API server is glad to take.
const mostTexts = 10_000

// example is what begins the name of keys that are for readers: knative's
// ConfigMaps document themselves in one.
const example = "_example"

// Reading is what a ConfigMap says.
type Reading struct {
	// Config has the default for every setting that cannot be used.
	Config Config
	// Unknown are the keys that this version does not have, sorted. They have no effect.
	Unknown []string
	// Wrong says which settings cannot be used, and why; nil if all can.
	Wrong error
	// Vital is the part of Wrong about settings that all replicas must agree on. No default can
	// stand in for one of them: a replica that keeps its slots in another backend, reads other
	// limits or starts runs during a hand-back breaks limits.
	Vital error

	// heard says that hand-back itself can be used.
	heard bool
}

// After returns the configuration of a running replica that worked by another one before. Nothing
// is used of a ConfigMap with a setting that cannot be used, except hand-back, which an operator
// may need at once.
func (r Reading) After(was Config) Config {
	if r.Wrong == nil {
		return r.Config
	}
	if r.heard {
		was.HandBack = r.Config.HandBack
	}
	return was
}

// setting is one key of the ConfigMap.
type setting struct {
	key   string
	vital bool
	// read sets the value in the configuration, or returns an error and changes nothing.
	read func(c *Config, value string) error
}

// settings are all there are, sorted by key.
var settings = []setting{
	{"annotations-interval", false, duration(func(c *Config) *time.Duration { return &c.Annotations.Interval }, time.Second, time.Hour)},
	{"annotations-positions", false, count(func(c *Config) *int { return &c.Annotations.Positions }, 0, mostPositions)},
	{"backend", true, readBackend},
	{"backoff-base", false, duration(func(c *Config) *time.Duration { return &c.Policy.BackoffBase }, time.Second, time.Hour)},
	{"backoff-max", false, duration(func(c *Config) *time.Duration { return &c.Policy.BackoffMax }, time.Second, 24*time.Hour)},
	{"claim-ttl", false, duration(func(c *Config) *time.Duration { return &c.Policy.ClaimTTL }, time.Second, time.Hour)},
	{HandBackKey, true, readHandBack},
	{"kueue-accounts", false, readKueueAccounts},
	{"metrics-max-queues", false, count(func(c *Config) *int { return &c.MetricsMaxQueues }, 0, mostMetricsQueues)},
	{"order-grace", false, duration(func(c *Config) *time.Duration { return &c.Policy.OrderGrace }, time.Second, 24*time.Hour)},
	{"pac-global-repository", true, name(func(c *Config) *string { return &c.PACGlobalRepository }, "a Repository",
		validation.IsDNS1123Subdomain)},
	{"pac-namespace", true, name(func(c *Config) *string { return &c.PACNamespace }, "a namespace", validation.IsDNS1123Label)},
	{"readiness-grace", false, duration(func(c *Config) *time.Duration { return &c.Policy.ReadyGrace }, time.Second, 24*time.Hour)},
	{"recovery-interval", false, duration(func(c *Config) *time.Duration { return &c.Recovery.Interval }, 100*time.Millisecond,
		time.Minute)},
	{"takeover-after", false, duration(func(c *Config) *time.Duration { return &c.Recovery.TakeoverAfter }, 100*time.Millisecond,
		time.Hour)},
	{"texts-per-second", false, count(func(c *Config) *int { return &c.TextsPerSecond }, 1, mostTexts)},
}

// Settings are the keys there are, sorted.
func Settings() []string {
	var keys []string
	for _, s := range settings {
		keys = append(keys, s.key)
	}
	return keys
}

// Read reads the data of a ConfigMap.
func Read(data map[string]string) Reading {
	r := Reading{Config: Defaults(), heard: true}
	var wrong, vital []error
	for _, s := range settings {
		value, given := data[s.key]
		if !given {
			continue
		}
		err := s.read(&r.Config, strings.TrimSpace(value))
		if err == nil {
			continue
		}
		err = fmt.Errorf("%s: %w", s.key, err)
		wrong = append(wrong, err)
		if s.vital {
			vital = append(vital, err)
		}
		if s.key == HandBackKey {
			r.heard = false
		}
	}
	wrong = append(wrong, r.Config.settleContradictions()...)
	r.Wrong, r.Vital = errors.Join(wrong...), errors.Join(vital...)
	known := Settings()
	for key := range data {
		if !slices.Contains(known, key) && !strings.HasPrefix(key, example) {
			r.Unknown = append(r.Unknown, key)
		}
	}
	slices.Sort(r.Unknown)
	return r
}

// settleContradictions puts the defaults in place of settings that contradict each other.
func (c *Config) settleContradictions() []error {
	var wrong []error
	defaults := Defaults()
	if p := &c.Policy; p.BackoffBase > p.BackoffMax {
		wrong = append(wrong, fmt.Errorf("backoff-base: %s is longer than backoff-max, %s", p.BackoffBase, p.BackoffMax))
		p.BackoffBase, p.BackoffMax = defaults.Policy.BackoffBase, defaults.Policy.BackoffMax
	}
	if takeover, ttl := &c.Recovery.TakeoverAfter, &c.Policy.ClaimTTL; *takeover >= *ttl {
		wrong = append(wrong, fmt.Errorf("takeover-after: %s is not shorter than claim-ttl, %s; claims would expire before another "+
			"replica takes over", *takeover, *ttl))
		*takeover, *ttl = defaults.Recovery.TakeoverAfter, defaults.Policy.ClaimTTL
	}
	return wrong
}

func duration(field func(*Config) *time.Duration, from, to time.Duration) func(*Config, string) error {
	return func(c *Config, value string) error {
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a duration; write a number and a unit, e.g. 30s or 5m", value)
		case d < from || d > to:
			return fmt.Errorf("%s is not between %s and %s", d, from, to)
		}
		*field(c) = d
		return nil
	}
}

func count(field func(*Config) *int, least, most int) func(*Config, string) error {
	return func(c *Config, value string) error {
		n, err := strconv.Atoi(value)
		switch {
		case err != nil:
			return fmt.Errorf("%q is not a whole number", value)
		case n < least || n > most:
			return fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		*field(c) = n
		return nil
	}
}

func name(field func(*Config) *string, of string, problems func(string) []string) func(*Config, string) error {
	return func(c *Config, value string) error {
		if found := problems(value); len(found) > 0 {
			return fmt.Errorf("%q is not the name of %s: %s", value, of, strings.Join(found, "; "))
		}
		*field(c) = value
		return nil
	}
}

func readBackend(c *Config, value string) error {
	backend := store.Backend(value)
	if !slices.Contains(store.Backends, backend) {
		return fmt.Errorf("%q is not a backend; there are %q", backend, store.Backends)
	}
	c.Backend = backend
	return nil
}

func readHandBack(c *Config, value string) error {
	on, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", value)
	}
	c.HandBack = on
	return nil
}

// mostAccounts is far more than Kueue has.
const mostAccounts = 4096

// user matches what the values of the chart may have, too: policies quote it.
var user = regexp.MustCompile(`^[A-Za-z0-9_:.@/-]+$`)

func readKueueAccounts(c *Config, value string) error {
	if len(value) > mostAccounts {
		return fmt.Errorf("it has %d bytes, more than %d", len(value), mostAccounts)
	}
	for account := range strings.SplitSeq(value, ",") {
		if value != "" && !user.MatchString(account) {
			return fmt.Errorf("%q is not the name of a user; write names separated by commas and nothing else", account)
		}
	}
	c.KueueAccounts = value
	return nil
}
