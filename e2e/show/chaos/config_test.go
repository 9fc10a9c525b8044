package main

import (
	"strings"
	"testing"
	"time"
)

func configure(args []string, env map[string]string) (config, error) {
	c := newConfig()
	s := newShow(c)
	err := s.Configure(args, func(name string) string { return env[name] })
	return *c, err
}

func TestConfig(t *testing.T) {
	c, err := configure([]string{"--seed", "8"}, map[string]string{"DURATION": "3m", "SEED": "7", "RUNS": ""})
	if err != nil {
		t.Fatal(err)
	}
	if want := (config{Seed: 8, Duration: 3 * time.Minute, Replicas: 3, Queues: 4, Runs: 90}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestConfigRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"DURATION": {"soon", "9s", "6h"}, "SEED": {"-1"}, "REPLICAS": {"-1"}, "QUEUES": {"1000"}, "RUNS": {"many", "10001"},
	} {
		for _, value := range values {
			_, err := configure(nil, map[string]string{name: value})
			if err == nil || !strings.Contains(strings.ToUpper(err.Error()), name) {
				t.Errorf("%s=%s: %v, want an error that names it", name, value, err)
			}
		}
	}
}
