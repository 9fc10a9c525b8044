package kind

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

// giteaHome is the folder of the program in Gitea's published image.
const giteaHome = "/app/gitea"

// giteaTools are the programs that Gitea and its Git hooks, which are shell scripts, call. They are
// programs of this machine, by their paths in the image. A push calls Git's two services by name.
var giteaTools = map[string]string{
	"/usr/bin/git":              "git",
	"/usr/bin/git-receive-pack": "git",
	"/usr/bin/git-upload-pack":  "git",
	"/bin/sh":                   "sh",
	"/usr/bin/env":              "env",
	"/usr/bin/cat":              "cat",
	"/usr/bin/basename":         "basename",
	"/usr/bin/dirname":          "dirname",
}

// giteaContent returns Gitea with its templates, the tools, and every shared library that they are
// linked with.
func giteaContent(ctx context.Context, gitea string) (content, error) {
	sources, err := build.ModuleDir(ctx, build.ModuleGitea)
	if err != nil {
		return content{}, err
	}
	c := content{files: map[string]string{giteaHome + "/gitea": gitea}, entrypoint: giteaHome + "/gitea"}
	for target, tool := range giteaTools {
		if c.files[target], err = exec.LookPath(tool); err != nil {
			return content{}, fmt.Errorf("the image of Gitea needs %s: %w", tool, err)
		}
	}
	for _, program := range c.files {
		if err := libraries(ctx, c.files, program); err != nil {
			return content{}, err
		}
	}
	for _, dir := range []string{"templates", "options", "public"} {
		if err := folder(c.files, filepath.Join(sources, dir), path.Join(giteaHome, dir)); err != nil {
			return content{}, err
		}
	}
	return c, nil
}

// library matches a path in the output of ldd: "libz.so.1 => /lib/libz.so.1 (0x7f...)", or the
// loader, without an arrow.
var library = regexp.MustCompile(`(/\S+) \(0x[0-9a-f]+\)`)

// static matches what glibc's and musl's ldd print for a program without shared libraries.
var static = regexp.MustCompile(`not a dynamic executable|statically linked|Not a valid dynamic program`)

// libraries adds the shared libraries of a program to files, each at its own path.
func libraries(ctx context.Context, files map[string]string, program string) error {
	out, err := exec.CommandContext(ctx, "ldd", program).CombinedOutput()
	if err != nil && !static.Match(out) {
		return fmt.Errorf("ldd %s: %w: %s", program, err, out)
	}
	for _, match := range library.FindAllSubmatch(out, -1) {
		files[string(match[1])] = string(match[1])
	}
	return nil
}
