package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The queues that can be shown.
const (
	leaseQueue = "lease" // the add-on's
	pacQueue   = "pac"   // PAC's own, without the add-on
)

// runTime is how long the pod of a run takes; with what Tekton and PAC add, a run
// takes two to three seconds.
const runTime = 2 * time.Second

// config is what the environment says.
type config struct {
	Queue    string
	Runs     int
	Limit    int
	Replicas int // of the add-on
	Watchers int // of PAC
	Kill     bool
	Keep     bool
}

// readConfig reads and checks the environment. Variables that are empty count as
// absent, and those that do not matter for the chosen queue are not looked at.
func readConfig(getenv func(string) string) (config, error) {
	e := environment{getenv: getenv}
	c := config{
		Queue:    e.choice("QUEUE", leaseQueue, pacQueue),
		Watchers: e.number("WATCHERS", 1, 1, 4),
		Keep:     e.flag("KEEP", false),
	}
	runs, limit := 8, 2
	switch {
	case c.Queue == leaseQueue:
		c.Replicas = e.number("REPLICAS", 2, 1, 5)
		c.Kill = e.flag("KILL", true) && c.Replicas > 1
	case c.Watchers > 1:
		// The negative control. One run at a time, PAC's queue gets stuck when two
		// runs in a row are of different watchers: all but certain among twelve.
		runs, limit = 12, 1
	}
	c.Runs = e.number("RUNS", runs, 1, 500)
	c.Limit = e.number("LIMIT", limit, 1, 100)
	return c, errors.Join(e.problems...)
}

// environment reads variables and collects what is wrong with them.
type environment struct {
	getenv   func(string) string
	problems []error
}

func (e *environment) refuse(name, format string, args ...any) {
	e.problems = append(e.problems, fmt.Errorf("%s is %q: %s", name, e.getenv(name), fmt.Sprintf(format, args...)))
}

func (e *environment) number(name string, absent, least, most int) int {
	value := e.getenv(name)
	if value == "" {
		return absent
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		e.refuse(name, "want a number from %d to %d", least, most)
		return absent
	}
	return n
}

func (e *environment) flag(name string, absent bool) bool {
	switch e.getenv(name) {
	case "":
		return absent
	case "0":
		return false
	case "1":
		return true
	}
	e.refuse(name, "want 0 or 1")
	return absent
}

// choice takes the first of the choices when the variable is absent.
func (e *environment) choice(name string, choices ...string) string {
	value := e.getenv(name)
	for _, c := range choices {
		if value == c {
			return c
		}
	}
	if value != "" {
		e.refuse(name, "want one of %v", choices)
	}
	return choices[0]
}
