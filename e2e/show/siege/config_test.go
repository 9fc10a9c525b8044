package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func configure(env map[string]string) (config, error) {
	c := newConfig()
	s := newShow(c)
	err := s.Configure(nil, func(name string) string { return env[name] })
	return *c, err
}

func TestConfig(t *testing.T) {
	c, err := configure(map[string]string{"DURATION": "3m", "SEED": "7", "ONLY": "orders,crowd", "GUARD": "off"})
	if err != nil {
		t.Fatal(err)
	}
	want := config{Seed: 7, Duration: 3 * time.Minute, Replicas: 2, Guard: guardOff}
	if c.Seed != want.Seed || c.Duration != want.Duration || c.Replicas != want.Replicas || c.Guard != want.Guard {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestConfigRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"DURATION": {"soon", "9s"}, "SEED": {"-1"}, "REPLICAS": {"0", "10"}, "GUARD": {"half"}, "ONLY": {"orders,peace"},
	} {
		for _, value := range values {
			_, err := configure(map[string]string{name: value})
			if err == nil || !strings.Contains(strings.ToUpper(err.Error()), strings.ToUpper(strings.TrimPrefix(value, "orders,"))) &&
				!strings.Contains(strings.ToUpper(err.Error()), name) {
				t.Errorf("%s=%s: %v, want an error that names it", name, value, err)
			}
		}
	}
}

// The plan has each attack with the guard, then those that get further without it, and the guard is
// taken away once.
func TestPlan(t *testing.T) {
	for guard, want := range map[string][]string{
		guardBoth: {"orders on", "finally on", "together on", "orders off", "together off"},
		guardOn:   {"orders on", "finally on", "together on"},
		guardOff:  {"orders off", "together off"},
	} {
		c := config{Only: []string{"together", "finally", "orders"}, Guard: guard}
		var got []string
		for _, p := range c.plan() {
			got = append(got, p.name+map[bool]string{true: " on", false: " off"}[p.guarded])
		}
		if !slices.Equal(got, want) {
			t.Errorf("guard %s: %v, want %v", guard, got, want)
		}
	}
}

func TestNothingLeftToDo(t *testing.T) {
	if _, err := configure(map[string]string{"ONLY": "finally", "GUARD": "off"}); err == nil {
		t.Error("an attack that is not made without the guard was accepted without the guard")
	}
}
