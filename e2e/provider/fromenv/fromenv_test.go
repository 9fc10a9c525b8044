package fromenv_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/fromenv"
)

func TestProviders(t *testing.T) {
	const relay = "https://relay.example/channel"
	for name, tc := range map[string]struct {
		env       map[string]string
		providers string   // their names
		skipped   []string // words in each line
		err       []string // words in the error
	}{
		"nothing": {
			skipped: []string{
				"GitHub E2E_GITHUB_TOKEN E2E_GITHUB_OWNER E2E_WEBHOOK_RELAY",
				"GitLab E2E_GITLAB_TOKEN E2E_GITLAB_GROUP E2E_WEBHOOK_RELAY",
			},
		},
		"both": {
			env: map[string]string{
				"E2E_GITHUB_TOKEN": "t", "E2E_GITHUB_OWNER": "o",
				"E2E_GITLAB_TOKEN": "t", "E2E_GITLAB_GROUP": "/g/", "E2E_WEBHOOK_RELAY": relay,
			},
			providers: "github gitlab",
		},
		"GitHub alone": {
			env:       map[string]string{"E2E_GITHUB_TOKEN": "t", "E2E_GITHUB_OWNER": "o", "E2E_WEBHOOK_RELAY": relay},
			providers: "github", skipped: []string{"GitLab E2E_GITLAB_TOKEN"},
		},
		"no owner": {
			env: map[string]string{"E2E_GITHUB_TOKEN": "t", "E2E_WEBHOOK_RELAY": relay},
			err: []string{"E2E_GITHUB_TOKEN is set", "set E2E_GITHUB_OWNER"},
		},
		"no group and no relay": {
			env: map[string]string{"E2E_GITLAB_TOKEN": "t"},
			err: []string{"E2E_GITLAB_TOKEN is set", "set E2E_GITLAB_GROUP", "set E2E_WEBHOOK_RELAY", "smee.io"},
		},
		"invalid address": {
			env: map[string]string{
				"E2E_GITHUB_TOKEN": "t", "E2E_GITHUB_OWNER": "o", "E2E_GITHUB_API": "http://%zz", "E2E_WEBHOOK_RELAY": relay,
			},
			err: []string{"GitHub", "%zz"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := fromenv.Providers(func(name string) string { return tc.env[name] })
			if (err != nil) != (tc.err != nil) {
				t.Fatalf("error %v", err)
			}
			wantWords(t, fmt.Sprint(err), tc.err...)
			if err != nil {
				return
			}
			var names []string
			for _, p := range found.Providers {
				names = append(names, p.Name())
			}
			if got := strings.Join(names, " "); got != tc.providers {
				t.Errorf("providers %q, want %q", got, tc.providers)
			}
			if len(found.Skipped) != len(tc.skipped) {
				t.Fatalf("skipped %q", found.Skipped)
			}
			for i, words := range tc.skipped {
				wantWords(t, found.Skipped[i], strings.Fields(words)...)
				if strings.Contains(found.Skipped[i], "\n") {
					t.Errorf("%q is more than one line", found.Skipped[i])
				}
			}
			if found.Relay != tc.env["E2E_WEBHOOK_RELAY"] {
				t.Errorf("relay %q", found.Relay)
			}
		})
	}
}

// github.com's own address becomes an empty one, because PAC takes every address for an Enterprise
// Server.
func TestPublicGitHub(t *testing.T) {
	for api, want := range map[string]string{
		"": "", "https://api.github.com": "", "https://api.github.com/": "", "https://ghe.example": "https://ghe.example",
	} {
		o, _, _ := fromenv.GitHub(func(name string) string { return map[string]string{"E2E_GITHUB_API": api}[name] })
		if o.API != want {
			t.Errorf("%q becomes %q, want %q", api, o.API, want)
		}
	}
}

func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is missing in %q", word, text)
		}
	}
}
