package stack

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitea"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// giteaUser owns every repository, and is the administrator.
const giteaUser = "pac"

// giteaConfig is Gitea's app.ini. %[1]s is the data folder, %[2]s the folder of templates, %[3]d
// the port, and %[4]s and %[5]s are secrets.
const giteaConfig = `
APP_NAME = pac-lease-queue stack
RUN_MODE = prod
WORK_PATH = %[1]s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[3]d
ROOT_URL = http://127.0.0.1:%[3]d/
LOCAL_ROOT_URL = http://127.0.0.1:%[3]d/
STATIC_ROOT_PATH = %[2]s
APP_DATA_PATH = %[1]s/data
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false
[database]
DB_TYPE = sqlite3
PATH = %[1]s/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = %[1]s/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = %[4]s
INTERNAL_TOKEN = %[5]s
[oauth2]
ENABLED = true
JWT_SIGNING_ALGORITHM = ES256
JWT_SECRET = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = *
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = false
[packages]
ENABLED = false
[mailer]
ENABLED = false
[cron]
ENABLED = false
[session]
PROVIDER = memory
[log]
MODE = console
LEVEL = info
ROOT_PATH = %[1]s/log
`

// Gitea is the stack's Git provider.
type Gitea struct {
	url      string
	password string
	token    string
	client   *sdk.Client
	provider *gitea.Provider
}

// Gitea returns the stack's Gitea, or nil if the stack has none.
func (s *Stack) Gitea() *Gitea { return s.gitea }

// URL returns the address of the web interface and the API.
func (g *Gitea) URL() string { return g.url }

// User returns the administrator's name and password.
func (g *Gitea) User() (name, password string) { return giteaUser, g.password }

// Token returns an API token of the user who owns every repository.
func (g *Gitea) Token() string { return g.token }

// Client returns an API client.
func (g *Gitea) Client() *sdk.Client { return g.client }

// startGitea starts Gitea and creates its user.
func (s *Stack) startGitea(ctx context.Context) error {
	static, err := s.opts.Versions.ModuleDir(ctx, build.ModuleGitea)
	if err != nil {
		return err
	}
	ports, err := s.takePorts(1)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "gitea")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	config := filepath.Join(dir, "app.ini")
	ini := fmt.Sprintf(giteaConfig, dir, static, ports[0], rand.Text(), rand.Text())
	if err := os.WriteFile(config, []byte(ini), 0o600); err != nil {
		return err
	}
	g := &Gitea{url: loopback("http", ports[0]), password: rand.Text()}
	web := s.add(process.Spec{
		Name:        "gitea",
		Path:        s.programs[build.Gitea],
		Args:        []string{"--config", config, "web"},
		Dir:         dir,
		Ready:       probe(s.http, g.url+"/api/v1/version"),
		ReadyWithin: giteaDeadline,
	})
	if err := s.startUp(ctx, web); err != nil {
		return err
	}
	if g.token, err = s.giteaCreateUser(ctx, dir, config, g.password); err != nil {
		return err
	}
	if g.client, err = sdk.NewClient(g.url, sdk.SetToken(g.token)); err != nil {
		return err
	}
	g.provider = gitea.New(gitea.Options{URL: g.url, Token: g.token, Owner: giteaUser, Hook: s.pacURL})
	s.gitea = g
	return nil
}

var giteaToken = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

// giteaCreateUser creates Gitea's administrator and returns the user's API token.
func (s *Stack) giteaCreateUser(ctx context.Context, dir, config, password string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, giteaDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.programs[build.Gitea], "--config", config, "admin", "user", "create",
		"--admin", "--username", giteaUser, "--password", password, "--email", giteaUser+"@localhost",
		"--must-change-password=false", "--access-token")
	cmd.Dir = dir
	cmd.Env = process.Env(dir)
	out, err := output(cmd)
	if err != nil {
		return "", err
	}
	token := giteaToken.FindString(out)
	if token == "" {
		return "", fmt.Errorf("gitea admin user create printed no token: %s", out)
	}
	return token, nil
}

// NewRepository creates a repository with a branch main and a webhook to the PAC controller.
func (g *Gitea) NewRepository(ctx context.Context, name string) (provider.Repository, error) {
	return g.provider.NewRepository(ctx, name)
}
