// Package fromenv finds the Git providers to which the environment gives access. Gitea is not among
// them, because it comes with the cluster.
package fromenv

import (
	"fmt"
	"os"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/github"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitlab"
)

// The variables of the environment.
const (
	GitHubToken = "E2E_GITHUB_TOKEN"
	GitHubOwner = "E2E_GITHUB_OWNER" // the user of the token, or an organisation
	GitHubAPI   = "E2E_GITHUB_API"   // unset for github.com
	GitLabToken = "E2E_GITLAB_TOKEN"
	GitLabGroup = "E2E_GITLAB_GROUP" // the full path
	GitLabAPI   = "E2E_GITLAB_API"   // unset for gitlab.com
	Relay       = "E2E_WEBHOOK_RELAY"
)

// Env returns the value of a variable, empty if it is not set.
type Env func(name string) string

// OS is the environment of this process.
func OS(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// Found is the result of Providers.
type Found struct {
	Providers []provider.Provider
	// Relay is the channel to which all of them post their webhooks.
	Relay string
	// Skipped has one line for each other provider, which says why it is skipped.
	Skipped []string
}

// Providers returns the providers to which an environment gives access.
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

// GitHub returns the options for GitHub in an environment, or why GitHub is skipped.
func GitHub(env Env) (o github.Options, skipped string, err error) {
	o = github.Options{Token: env(GitHubToken), Owner: env(GitHubOwner), API: env(GitHubAPI), Hook: env(Relay)}
	if strings.TrimSuffix(o.API, "/") == "https://api.github.com" {
		o.API = "" // PAC takes every other address for an Enterprise Server
	}
	skipped, err = check("GitHub", env, GitHubToken, GitHubOwner, Relay)
	return o, skipped, err
}

// GitLab returns the options for GitLab in an environment, or why GitLab is skipped.
func GitLab(env Env) (o gitlab.Options, skipped string, err error) {
	o = gitlab.Options{
		Token: env(GitLabToken), Group: strings.Trim(env(GitLabGroup), "/"), API: env(GitLabAPI), Hook: env(Relay),
	}
	skipped, err = check("GitLab", env, GitLabToken, GitLabGroup, Relay)
	return o, skipped, err
}

// meaning describes the value of a variable.
var meaning = map[string]string{
	GitHubOwner: "the user of the token or an organisation, which will own the repositories",
	GitLabGroup: "the full path of the group in which to create projects",
	Relay:       "a channel of your own for webhooks, e.g. the address to which https://smee.io/new redirects",
}

// check returns why a provider is skipped if its token is not set. If it is set, check fails if
// another variable is missing.
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
		return "", fmt.Errorf("%s is set, so tests run on %s, but they need more: %s", token, name, strings.Join(missing, "; "))
	}
	return "", nil
}
