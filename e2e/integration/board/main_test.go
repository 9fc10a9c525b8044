// Package board_test opens the board in a real Chromium, on a real API server with the add-on
// installed by its chart. The tests create runs as Pipelines-as-Code does, and end them as Tekton
// does.
package board_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/browser"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

// deadline bounds every wait.
const deadline = 60 * time.Second

var pictures = flag.String("pictures", "", "a directory for pictures of the pages")

// site is nil where no cluster can be had.
var site *fixture.Site

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs | stack.Helm}, prepare))
}

func prepare(ctx context.Context, s *stack.Stack) (err error) {
	site, err = fixture.NewSite(ctx, s, "board.enabled=true", "board.requestsPerSecond=1000",
		"admission.guard.breakGlassGroups={system:masters}") // takes runs away
	return err
}

// names are those of so many runs.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("run-%03d", i+1)
	}
	return all
}

// begin waits until a run is started, and begins with it as Tekton does.
func begin(t *testing.T, namespace, name string) {
	t.Helper()
	beginBefore(t, namespace, name, 0)
}

// beginBefore is begin, so long ago.
func beginBefore(t *testing.T, namespace, name string, ago time.Duration) {
	t.Helper()
	site.AwaitStart(t, namespace, name)
	began := metav1.NewTime(time.Now().Add(-ago))
	fixture.Must(t, site.PatchRun(t.Context(), namespace, name, map[string]any{"status": map[string]any{"startTime": began}}, "status"))
}

// finish ends a run as Tekton does.
func finish(t *testing.T, namespace, name string) {
	t.Helper()
	fixture.Must(t, site.FinishRun(t.Context(), namespace, name))
}

// url is the address of a page.
func url(path string) string { return site.Addon.Board().PagesURL + path }

// open opens a page in a tab of its own.
func open(t *testing.T, path string, before ...chromedp.Action) context.Context {
	t.Helper()
	tab := browser.New(t)
	browser.Do(t, tab, "open "+path, append(before, chromedp.Navigate(url(path)))...)
	return tab
}

// without has a page load without scripts.
func without() chromedp.Action { return emulation.SetScriptExecutionDisabled(true) }

// text is that of the elements that a selector selects, in JavaScript.
func text(selector string) string {
	return fmt.Sprintf("document.querySelector(%q)?.textContent", selector)
}
