package onstack_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/chromedp/chromedp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/browser"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// TestBoardBehindProxy: with oauth2-proxy before the board as examples/board/oauth2-proxy.yaml has
// it, nobody sees a queue without an account at Gitea; whoever signs in does, live.
func TestBoardBehindProxy(t *testing.T) {
	s := newScene(t, 1, 2)
	s.must(cluster.Upgrade(s.ctx, "board.enabled=true"))
	t.Cleanup(func() {
		if err := cluster.Upgrade(s.background(), "board.enabled=false"); err != nil {
			t.Error(err)
		}
	})
	proxy := s.startProxy(cluster.Addon().Board().PagesURL)
	for _, path := range []string{"/", "/api/v1/queues", "/-/live/"} {
		body, status := s.get(proxy + path)
		asksToSignIn := slices.Contains([]int{http.StatusOK, http.StatusUnauthorized, http.StatusForbidden}, status)
		if !asksToSignIn || strings.Contains(body, s.Key.Namespace) {
			t.Errorf("%s without signing in: status %d:\n%s", path, status, body)
		}
	}

	s.push(3, 3*time.Second)
	name, password := cluster.Gitea().User()
	tab := browser.New(t)
	browser.Dismiss(tab) // Gitea is built without its scripts, and each of its pages complains
	browser.Do(t, tab, "sign in at Gitea", chromedp.Navigate(proxy+"/"), chromedp.WaitVisible("#user_name", chromedp.ByQuery),
		chromedp.SendKeys("#user_name", name, chromedp.ByQuery), chromedp.SendKeys("#password", password+"\r", chromedp.ByQuery),
		chromedp.WaitVisible("#authorize-app", chromedp.ByQuery),
		chromedp.Click("#authorize-app", chromedp.ByQuery), chromedp.WaitVisible(".queues", chromedp.ByQuery))
	row := fmt.Sprintf("document.querySelector('.queues a[href=%q]')?.closest('tr').textContent", "/"+s.Key.Namespace+"/"+s.Key.Repository)
	browser.Do(t, tab, "mark the page", chromedp.Evaluate("window.marked = true", nil))
	browser.Until(t, tab, "the queue, live through the proxy", "window.marked && /1 of 1/.test("+row+")")
	s.done(3)
	browser.Until(t, tab, "the empty queue, without a reload", "window.marked && /0 of 1/.test("+row+")")
	s.audited()
}

// startProxy starts oauth2-proxy before the board as the example has it, but for addresses and
// secrets, and returns its address.
func (s *scene) startProxy(board string) string {
	s.Helper()
	container := s.proxyExample()
	programs, err := build.Build(s.ctx, nil, build.OAuth2Proxy)
	s.must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	address := listener.Addr().String()
	s.must(listener.Close())
	url := "http://" + address
	app, _, err := cluster.Gitea().Client().CreateOauth2(sdk.CreateOauth2Option{
		Name: "board", ConfidentialClient: true, RedirectURIs: []string{url + "/oauth2/callback"},
	})
	s.must(err)
	here := map[string]string{
		"--oidc-issuer-url": cluster.Gitea().URL(), "--redirect-url": url + "/oauth2/callback", "--upstream": board,
		"--http-address": address,
	}
	args := slices.Clone(container.Args)
	for i, arg := range args {
		flag, _, _ := strings.Cut(arg, "=")
		if value, differs := here[flag]; differs {
			args[i] = flag + "=" + value
			delete(here, flag)
		}
	}
	if len(here) > 0 {
		s.Fatalf("the example lacks %v", here)
	}
	p := process.New(process.Spec{
		Name: "oauth2-proxy", Path: programs[build.OAuth2Proxy], Args: args, Logs: cluster.LogsDir(),
		Env: []string{
			"OAUTH2_PROXY_CLIENT_ID=" + app.ClientID, "OAUTH2_PROXY_CLIENT_SECRET=" + app.ClientSecret,
			"OAUTH2_PROXY_COOKIE_SECRET=0123456789abcdef0123456789abcdef",
		},
		Ready: func(context.Context) error {
			_, status, err := fetch(url + container.ReadinessProbe.HTTPGet.Path)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("status %d", status)
			}
			return err
		},
	})
	s.must(p.Start(s.ctx))
	s.Cleanup(func() {
		if err := p.Stop(s.background()); err != nil {
			s.Error(err)
		}
	})
	return url
}

// proxyExample reads the container of the example, whose image has to be of the version that is
// built here.
func (s *scene) proxyExample() corev1.Container {
	s.Helper()
	root, err := build.Root()
	s.must(err)
	text, err := os.ReadFile(filepath.Join(root, "examples", "board", "oauth2-proxy.yaml"))
	s.must(err)
	var deployment appsv1.Deployment
	s.must(yaml.NewYAMLOrJSONDecoder(strings.NewReader(string(text)), 4096).Decode(&deployment))
	versions, err := build.Pinned(build.ModuleOAuth2Proxy)
	s.must(err)
	container := deployment.Spec.Template.Spec.Containers[0]
	if want := ":v" + versions[0]; !strings.HasSuffix(container.Image, want) {
		s.Errorf("the example has the image %s, want %s", container.Image, want)
	}
	return container
}

func (s *scene) get(url string) (body string, status int) {
	s.Helper()
	body, status, err := fetch(url)
	s.must(err)
	return body, status
}

func fetch(url string) (body string, status int, err error) {
	answer, err := http.Get(url)
	if err != nil {
		return "", 0, err
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	return string(all), answer.StatusCode, err
}
