// Command museum shows how PAC's own queue fails, and how the add-on fares in the same situation.
// The exhibits are the rows of the table in docs/design/pac-contract.md. Each is provoked twice on
// the real components, and a table of the observations closes the show.
//
//	go run ./e2e/show/museum --only lost-reply,failed-get
package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/show"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const about = `See PAC's own queue fail in every known way, and the add-on hold: each failure is provoked on PAC
alone and with the add-on, on the real components.

The exit code is 1 if the add-on fails anywhere, and also if PAC alone does not fail where it is
declared to: then the table in docs/design/pac-contract.md is out of date.`

func main() {
	var only []string
	chosen := exhibits
	show.Main(show.Show{
		Name:  "museum",
		About: about,
		Flags: func(flags *pflag.FlagSet) {
			flags.StringSliceVar(&only, "only", nil, "names of exhibits, separated by commas (default all)")
		},
		Check: func() (err error) {
			chosen, err = choose(only)
			return err
		},
		Stack: func() stack.Options { return stack.Options{Components: stack.Everything} },
		Play: func(ctx context.Context, stage *show.Stage) (show.Result, error) {
			return (&museum{Stage: stage}).play(ctx, chosen)
		},
	})
}

// choose picks exhibits by name. No names mean all.
func choose(names []string) ([]exhibit, error) {
	if len(names) == 0 {
		return exhibits, nil
	}
	var chosen []exhibit
	for _, name := range names {
		i := slices.IndexFunc(exhibits, func(e exhibit) bool { return e.name == name })
		if i < 0 {
			var known []string
			for _, e := range exhibits {
				known = append(known, e.name)
			}
			return nil, fmt.Errorf("there is no exhibit %q: want one of %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, exhibits[i])
	}
	return chosen, nil
}
