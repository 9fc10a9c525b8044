// Package artifacts writes the state of a cluster to files, for people who look into a failed test:
// logs, events and objects, but no Secret.
package artifacts
