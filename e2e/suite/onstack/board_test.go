package onstack_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/addon/board/page"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/browser"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
)

// TestBoardFromGit: the status of a run that waits leads from Gitea to its page on the board, which
// a real browser follows: the position falls there by itself, and once the run has started its
// reader arrives at the console.
func TestBoardFromGit(t *testing.T) {
	s := newScene(t, 1, 2)
	console := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "<title>console %s</title>", r.URL.Path)
	}))
	t.Cleanup(console.Close)
	s.must(cluster.Upgrade(s.ctx, "board.enabled=true", "board.console="+console.URL+"/{{ namespace }}/{{ pr }}"))
	t.Cleanup(func() {
		if err := cluster.Upgrade(s.background(), "board.enabled=false", "board.console="); err != nil {
			t.Error(err)
		}
	})
	s.leadTo(cluster.Addon().Board().PagesURL)

	s.push(12, 3*time.Second)
	line := queue.InOrder(queue.Shared(s.queued(12).Runs), nil)
	fifth := line[4].Name
	path := page.RunPath(s.Key.Namespace, fifth)
	var link string
	s.eventually("Gitea to show where the fifth run waits", suite.StepDeadline, func() error {
		statuses, err := s.Statuses(s.ctx)
		i := slices.IndexFunc(statuses, func(is provider.Status) bool { return is.Link == cluster.Addon().Board().PagesURL+path })
		if err == nil && i < 0 {
			err = fmt.Errorf("no status leads to %s: %+v", path, statuses)
		}
		if err == nil {
			link = statuses[i].Link
		}
		return err
	})
	tab := browser.New(t)
	browser.Do(t, tab, "follow the link", chromedp.Navigate(link), chromedp.WaitVisible(".headline", chromedp.ByQuery),
		chromedp.Evaluate("window.marked = true", nil))
	const headline = "window.marked && document.querySelector('.headline').textContent"
	for _, position := range []int{2, 1} {
		browser.Until(t, tab, fmt.Sprintf("position %d, without a reload", position),
			fmt.Sprintf("/^Position %d of /.test(%s)", position, headline))
	}
	browser.Until(t, tab, "the console", fmt.Sprintf("document.title === 'console /%s/%s'", s.Key.Namespace, fifth))
	if run := s.View().PipelineRuns[fifth]; run != nil && run.IsPending() {
		t.Error("the reader is sent on before the run has started")
	}
	s.done(12)
	s.audited()
}

// leadTo has the details of PAC's statuses lead to the board, for the rest of the test.
func (s *scene) leadTo(board string) {
	s.Helper()
	set := func(format string, args ...any) error {
		_, err := s.Kube.CoreV1().ConfigMaps(stack.PACNamespace).Patch(s.background(), pac.SettingsName, types.MergePatchType,
			fmt.Appendf(nil, format, args...), metav1.PatchOptions{})
		return err
	}
	s.must(set(`{"data":{"custom-console-name":"Run queue","custom-console-url":%q,"custom-console-url-namespace":%q,`+
		`"custom-console-url-pr-details":%q,"custom-console-url-pr-tasklog":%q}}`,
		board, board+"/?q={{ namespace }}/", board+"/{{ namespace }}/runs/{{ pr }}", board+"/{{ namespace }}/runs/{{ pr }}"))
	s.Cleanup(func() {
		if err := set(`{"data":{"custom-console-name":null,"custom-console-url":null,"custom-console-url-namespace":null,` +
			`"custom-console-url-pr-details":null,"custom-console-url-pr-tasklog":null}}`); err != nil {
			s.Error(err)
		}
	})
}
