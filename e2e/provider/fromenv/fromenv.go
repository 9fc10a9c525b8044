// Package fromenv finds the Git providers that the environment gives access to.
// Gitea is not among them: it comes with the cluster.
package fromenv

import (
	"fmt"
	"os"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/github"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitlab"
)

// The variables.
const (
	GitHubToken = "E2E_GITHUB_TOKEN"
	GitHubOwner = "E2E_GITHUB_OWNER" // the token's user, or an organisation
	GitHubAPI   = "E2E_GITHUB_API"   // if it is not github.com's
	GitLabToken = "E2E_GITLAB_TOKEN"
	GitLabGroup = "E2E_GITLAB_GROUP" // its full path
	GitLabAPI   = "E2E_GITLAB_API"   // if it is not gitlab.com's
	Relay       = "E2E_WEBHOOK_RELAY"
)

// Env returns the value of a variable, empty if it is not set.
type Env func(name string) string

// OS is the environment of this process.
func OS(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// Found is what an environment gives.
type Found struct {
	Providers []provider.Provider
	// Relay is the channel that the webhooks of all of them go to.
	Relay string
	// Skipped has a line for each provider that it does not give, which says why.
	Skipped []string
}

// Providers returns the providers that an environment gives.
func Providers(env Env) (Found, error) {
	found := Found{Relay: env(Relay)}
	hub, why, err := GitHub(env)
	if err := found.add(why, err, func() (provider.Provider, error) { return github.New(hub) }); err != nil {
		return Found{}, err
	}
	lab, why, err := GitLab(env)
	if err := found.add(why, err, func() (provider.Provider, error) { return gitlab.New(lab) }); err != nil {
		return Found{}, err
	}
	return found, nil
}

func (f *Found) add(skipped string, err error, make func() (provider.Provider, error)) error {
	if err != nil {
		return err
	}
	if skipped != "" {
		f.Skipped = append(f.Skipped, skipped)
		return nil
	}
	p, err := make()
	if err != nil {
		return err
	}
	f.Providers = append(f.Providers, p)
	return nil
}

// GitHub returns what an environment says of GitHub, or why there is no access.
func GitHub(env Env) (o github.Options, skipped string, err error) {
	o = github.Options{Token: env(GitHubToken), Owner: env(GitHubOwner), API: env(GitHubAPI), Hook: env(Relay)}
	if strings.TrimSuffix(o.API, "/") == "https://api.github.com" {
		o.API = "" // PAC takes any address for that of an Enterprise Server
	}
	skipped, err = check("GitHub", env, GitHubToken, GitHubOwner, Relay)
	return o, skipped, err
}

// GitLab returns what an environment says of GitLab, or why there is no access.
func GitLab(env Env) (o gitlab.Options, skipped string, err error) {
	o = gitlab.Options{Token: env(GitLabToken), Group: strings.Trim(env(GitLabGroup), "/"), API: env(GitLabAPI), Hook: env(Relay)}
	skipped, err = check("GitLab", env, GitLabToken, GitLabGroup, Relay)
	return o, skipped, err
}

// meaning says what belongs into a variable.
var meaning = map[string]string{
	GitHubOwner: "the token's user or an organisation, where repositories are made",
	GitLabGroup: "the full path of the group where projects are made",
	Relay:       "a channel for webhooks that is yours, e.g. the address that https://smee.io/new leads to",
}

// check says why a provider is skipped without a token, and which variables are
// missing with one.
func check(name string, env Env, token string, needed ...string) (skipped string, err error) {
	if env(token) == "" {
		return fmt.Sprintf("%s is skipped: %s is not set (it needs %s, %s)", name, token, token, strings.Join(needed, ", ")), nil
	}
	var missing []string
	for _, variable := range needed {
		if env(variable) == "" {
			missing = append(missing, fmt.Sprintf("set %s to %s", variable, meaning[variable]))
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("%s is set, and so tests run on %s, but something is missing: %s", token, name, strings.Join(missing, "; "))
	}
	return "", nil
}
