//go:build !failpoints

package engine

// failpoint does nothing in a normal build.
func failpoint(string) {}
