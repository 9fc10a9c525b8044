// Package browser drives a real Chromium.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// installed finds Chromium, once.
var installed = sync.OnceValues(func() (string, error) {
	root, err := build.Root()
	if err != nil {
		return "", err
	}
	var failure strings.Builder
	cmd := exec.Command(filepath.Join(root, "scripts", "chromium.sh"))
	cmd.Stderr = &failure
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find Chromium: %w: %s", err, failure.String())
	}
	return strings.TrimSpace(string(path)), nil
})

// New starts a browser that ends with the test, and returns the context of its first tab, for
// chromedp. Options are those of the process.
func New(t testing.TB, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	all := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))
	if os.Getuid() == 0 {
		all = append(all, chromedp.NoSandbox) // which Chromium refuses to make as root
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), append(all, options...)...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// Tab opens another tab of a browser, which is closed with the test.
func Tab(t testing.TB, browser context.Context) context.Context {
	t.Helper()
	ctx, end := chromedp.NewContext(browser)
	t.Cleanup(end)
	return ctx
}

// deadline bounds each step of a test.
const deadline = time.Minute

// Do carries out actions.
func Do(t testing.TB, tab context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, deadline)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatalf("%s: %v; the page is\n%s", what, err, shown(tab))
	}
}

// Dismiss closes every dialog that pages of the tab open from now on: until somebody does, nothing
// else happens in it.
func Dismiss(tab context.Context) {
	chromedp.ListenTarget(tab, func(event any) {
		if _, is := event.(*page.EventJavascriptDialogOpening); is {
			go func() { _ = chromedp.Run(tab, page.HandleJavaScriptDialog(true)) }() // the tab may be gone
		}
	})
}

// shown is the address of the open page and what a reader sees of it.
func shown(tab context.Context) (text string) {
	ctx, cancel := context.WithTimeout(tab, deadline)
	defer cancel()
	_ = chromedp.Run(ctx, chromedp.Evaluate("location.href + '\\n' + document.body.innerText", &text))
	return text
}

// pause is between two looks at a page.
const pause = 50 * time.Millisecond

// Until waits until an expression of JavaScript is true in the page, whichever page the tab may go
// to meanwhile.
func Until(t testing.TB, tab context.Context, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, deadline)
	defer cancel()
	err := await.Until(ctx, pause, func() error {
		var is bool
		err := chromedp.Run(ctx, chromedp.Evaluate("Boolean("+expression+")", &is))
		if err == nil && !is {
			err = errors.New("it is not so")
		}
		return err
	})
	if err != nil {
		t.Fatalf("%s: %s: %v; the page is\n%s", what, expression, err, shown(tab))
	}
}

// Focus moves the focus to the element that the selector finds, within one script. chromedp finds a
// node first and focuses it later; a page that updates itself may have replaced the node by then.
func Focus(t testing.TB, tab context.Context, selector string) {
	t.Helper()
	Until(t, tab, "the focus is on "+selector,
		fmt.Sprintf("(document.querySelector(%q).focus(), document.activeElement.matches(%[1]q))", selector))
}
