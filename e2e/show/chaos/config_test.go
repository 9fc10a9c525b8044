package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	env := map[string]string{"DURATION": "3m", "SEED": "7", "RUNS": ""}
	c, err := readConfig([]string{"-seed", "8"}, func(name string) string { return env[name] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := (config{Seed: 8, Duration: 3 * time.Minute, Replicas: 3, Queues: 4, Runs: 90}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestConfigRefused(t *testing.T) {
	for name, value := range map[string]string{"DURATION": "soon", "SEED": "-1", "REPLICAS": "-1", "QUEUES": "1000", "RUNS": "many"} {
		_, err := readConfig(nil, func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		}, io.Discard)
		if err == nil || !strings.Contains(strings.ToUpper(err.Error()), name) {
			t.Errorf("%s=%s: %v, want an error that names it", name, value, err)
		}
	}
}
