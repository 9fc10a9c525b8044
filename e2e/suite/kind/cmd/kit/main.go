// Command kit puts the whole system on a kind cluster with terraform/e2e, and removes it.
//
//	go run ./e2e/suite/kind/cmd/kit prepare   # build everything; print the Terraform command
//	go run ./e2e/suite/kind/cmd/kit up        # prepare, apply; print how to use the cluster
//	go run ./e2e/suite/kind/cmd/kit down      # terraform destroy
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/kind"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kit:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("one command is needed: prepare, up or down")
	}
	root, err := build.Root()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "bin", "kind")
	switch args[0] {
	case "prepare":
		kit, err := prepare(ctx, dir)
		if err != nil {
			return err
		}
		fmt.Printf("PATH=%s %s -chdir=%s apply -var-file=%s\n", kit.Env["PATH"], kit.Terraform, kit.Configuration, kind.VariablesFile(dir))
		return nil
	case "up":
		return up(ctx, dir)
	case "down":
		return down(ctx, dir)
	}
	return fmt.Errorf("unknown command %q, want prepare, up or down", args[0])
}

// lockWait waits for a Terraform that goes on after its kit was killed.
const lockWait = "-lock-timeout=15m"

func prepare(ctx context.Context, dir string) (*kind.Kit, error) {
	more, err := kind.Variables(os.Getenv)
	if err != nil {
		return nil, err
	}
	kit, err := kind.Prepare(ctx, nil, dir)
	if err != nil {
		return nil, err
	}
	return kit, kit.WriteVariables(kind.VariablesFile(dir), more)
}

func up(ctx context.Context, dir string) error {
	began := time.Now()
	kit, err := prepare(ctx, dir)
	if err != nil {
		return err
	}
	prepared := time.Since(began)
	if err := terraform(ctx, kit, "init", "-input=false"); err != nil {
		return err
	}
	file := "-var-file=" + kind.VariablesFile(dir)
	// The plan validates all variables; the apply of the claims alone does not.
	if err := quietly(ctx, kit, "plan", "-input=false", lockWait, file); err != nil {
		return err
	}
	apply := []string{"apply", "-input=false", "-auto-approve", lockWait, file}
	claim := slices.Clone(apply)
	for _, target := range kind.Claims(os.Getenv(kind.ExistingCluster) != "") {
		claim = append(claim, "-target="+target)
	}
	if err := quietly(ctx, kit, claim...); err != nil {
		return err
	}
	if err := terraform(ctx, kit, apply...); err != nil {
		return fmt.Errorf("%w\nWhat was created stays for inspection. "+
			"\"make e2e-kind-up\" continues from here, \"make e2e-kind-down\" removes it", err)
	}
	applied := time.Since(began) - prepared
	fmt.Printf("\nprepared in %s, applied in %s\n\n", prepared.Round(time.Second), applied.Round(time.Second))
	return addresses(ctx, kit)
}

func down(ctx context.Context, dir string) error {
	kit, err := kind.FindTools(ctx, nil, filepath.Join(dir, "tools"))
	if err != nil {
		return err
	}
	if err := terraform(ctx, kit, "init", "-input=false"); err != nil {
		return err
	}
	if err := terraform(ctx, kit, "destroy", "-input=false", "-auto-approve", lockWait); err != nil {
		return err
	}
	return kit.RemoveState()
}

// terraform runs Terraform and shows its output.
func terraform(ctx context.Context, kit *kind.Kit, args ...string) error {
	return runTerraform(ctx, kit, os.Stderr, args)
}

// quietly runs Terraform and shows its output only if it fails.
func quietly(ctx context.Context, kit *kind.Kit, args ...string) error {
	var out bytes.Buffer
	err := runTerraform(ctx, kit, &out, args)
	if err != nil {
		_, _ = out.WriteTo(os.Stderr)
	}
	return err
}

func runTerraform(ctx context.Context, kit *kind.Kit, out io.Writer, args []string) error {
	cmd := kit.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = out, out
	// Ctrl-C must reach it only once, from here: a second interrupt ends it without writing its
	// state.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("terraform %s: %w", args[0], err)
	}
	return nil
}

// addresses prints how to use the cluster.
func addresses(ctx context.Context, kit *kind.Kit) error {
	out, err := kit.Command(ctx, "output", "-json").Output()
	if err != nil {
		return fmt.Errorf("terraform output: %w", err)
	}
	var outputs map[string]struct{ Value any }
	if err := json.Unmarshal(out, &outputs); err != nil {
		return err
	}
	value := func(name string) string { s, _ := outputs[name].Value.(string); return s }
	fmt.Printf("Kubernetes  export KUBECONFIG=%s\n", value("kubeconfig"))
	if value("gitea_username") != "" {
		url := value("gitea_url")
		if url == "" {
			url = "http://127.0.0.1:3000, after \"kubectl -n gitea port-forward service/gitea 3000\""
		}
		fmt.Printf("Gitea       %s (user %s, password %s)\n", url, value("gitea_username"), value("gitea_password"))
	}
	fmt.Printf("PAC events  %s (in the cluster)\n", value("pac_controller_url"))
	if url := value("gitea_url"); url != "" {
		fmt.Printf("\nA repository with a limit of one, and a push of three runs:\n\n%s", strings.NewReplacer(
			"GITEA", url, "IN_CLUSTER", value("gitea_cluster_url"), "USER", value("gitea_username"), "PASSWORD", value("gitea_password"),
			"EVENTS", value("pac_controller_url"), "STEP", kit.StepImage,
		).Replace(example))
	}
	return nil
}
