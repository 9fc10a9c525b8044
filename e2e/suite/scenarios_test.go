package suite

import (
	"slices"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// account is an account at a kind of provider.
type account struct {
	provider.Provider
	kind, owner string
}

func (a account) Name() string { return a.kind }

func TestPartners(t *testing.T) {
	gitea, team := account{kind: "gitea", owner: "user"}, account{kind: "gitea", owner: "team"}
	github, gitlab := account{kind: "github"}, account{kind: "gitlab"}
	for name, c := range map[string]struct{ providers, want []provider.Provider }{
		"all kinds":                {[]provider.Provider{gitea, team, github, gitlab}, []provider.Provider{github, gitlab}},
		"two kinds":                {[]provider.Provider{github, gitlab}, []provider.Provider{gitlab}},
		"two accounts of one kind": {[]provider.Provider{gitea, team}, []provider.Provider{team}},
		"one account":              {[]provider.Provider{github}, []provider.Provider{github}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := partners(c.providers); !slices.Equal(got, c.want) {
				t.Errorf("partners: %v, want %v", got, c.want)
			}
		})
	}
}
