// Package release says which release a program is of.
package release

import "runtime/debug"

// Version is set at link time for releases.
var Version = "devel"

// Commit is what the program was built from; "unknown" if the build does not say.
func Commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
