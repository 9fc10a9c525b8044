package browser

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe-core, which finds what keeps people from using a page. It comes from the npm registry.
const (
	axeVersion = "4.14.1"
	axeSHA512  = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// axe reads its script, once.
var axe = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "pac-lease-queue")
	path := filepath.Join(dir, "axe-core-"+axeVersion+".tgz")
	if _, err := os.Stat(path); err == nil {
		return scriptIn(path)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(dir, "axe-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	var failure strings.Builder
	pack := exec.Command("npm", "pack", "--silent", "axe-core@"+axeVersion)
	pack.Dir, pack.Stderr = fresh, &failure
	if err := pack.Run(); err != nil {
		return "", fmt.Errorf("fetch axe-core by npm: %w: %s", err, failure.String())
	}
	packed := filepath.Join(fresh, filepath.Base(path))
	if _, err := scriptIn(packed); err != nil {
		return "", err
	}
	if err := os.Rename(packed, path); err != nil {
		return "", err
	}
	return scriptIn(path)
})

// scriptIn reads the script in the package, after it has checked that.
func scriptIn(path string) (string, error) {
	archive, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, archive); err != nil {
		return "", err
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != axeSHA512 {
		return "", fmt.Errorf("%s has the checksum %s, want %s", path, got, axeSHA512)
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	unzipped, err := gzip.NewReader(archive)
	if err != nil {
		return "", err
	}
	for files := tar.NewReader(unzipped); ; {
		file, err := files.Next()
		if errors.Is(err, io.EOF) {
			return "", fmt.Errorf("%s has no axe.min.js", path)
		}
		if err != nil {
			return "", err
		}
		if file.Name == "package/axe.min.js" {
			script, err := io.ReadAll(files)
			return string(script), err
		}
	}
}

// Accessible fails the test for everything that axe-core finds wrong with the open page. The page's
// own policy may forbid scripts of others: axe-core runs in spite of it.
func Accessible(t testing.TB, tab context.Context, what string) {
	t.Helper()
	script, err := axe()
	if err != nil {
		t.Fatal(err)
	}
	const run = `axe.run({resultTypes: ['violations']}).then(r => r.violations.map(v =>
		v.id + ': ' + v.help + '\n' + v.nodes.map(n => '    ' + n.target.join(' ') + ': ' + n.failureSummary).join('\n')))`
	var violations []string
	Do(t, tab, what+": axe-core",
		chromedp.Evaluate(script, nil),
		chromedp.Evaluate(run, &violations, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	for _, v := range violations {
		t.Errorf("%s: axe-core: %s", what, v)
	}
}

// Picture takes a picture of the whole page as a PNG, and writes it to the path.
func Picture(t testing.TB, tab context.Context, path string) {
	t.Helper()
	var png []byte
	Do(t, tab, "take a picture", chromedp.ActionFunc(func(ctx context.Context) (err error) {
		png, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx)
		return err
	}))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil { //nolint:gosec // a picture in docs
		t.Fatal(err)
	}
}
