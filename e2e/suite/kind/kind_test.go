// The tag keeps Terratest and the clients of clouds that it needs out of what every `make test`
// compiles: these tests need a container engine anyway.

//go:build terraform

package kind_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/gruntwork-io/terratest/modules/terraform"
	"github.com/gruntwork-io/terratest/modules/test-structure"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/artifacts"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/kind"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/onkube"
)

// destroyDeadline bounds terraform destroy, which runs also after the test was stopped.
const destroyDeadline = 10 * time.Minute

// TestKind puts the whole system on a kind cluster with terraform/e2e, plays the suite there, and
// removes it. Its stages are prepare, apply, plan, every scenario by its name, and destroy. The
// variable SKIP_<stage> skips a stage, and ONLY names the scenarios to play, separated by commas.
// The artifacts of a failed stage are in the folder E2E_ARTIFACTS.
func TestKind(t *testing.T) {
	root, err := build.Root()
	must(t, err)
	k := &harness{t: t, root: root, dir: filepath.Join(root, "bin", "kind"), artifacts: os.Getenv("E2E_ARTIFACTS")}
	if k.artifacts == "" {
		k.artifacts = filepath.Join(k.dir, "artifacts")
	} else if !filepath.IsAbs(k.artifacts) {
		k.artifacts = filepath.Join(root, k.artifacts) // make runs at the root
	}
	must(t, os.MkdirAll(k.artifacts, 0o755))
	defer k.writeSummary()

	k.prepare() // fails, before destroy is deferred, if a cluster is in use
	defer k.stage("destroy", k.destroy)
	k.stage("apply", k.apply)
	k.stage("plan", k.planIsEmpty)
	env := k.environment()
	scenarios := append(suite.Scenarios(), suite.NegativeControl())
	if os.Getenv("BACKEND") == "memory" {
		scenarios = suite.ScenariosInMemory()
	}
	if only := os.Getenv("ONLY"); only != "" {
		if scenarios, err = chosen(scenarios, strings.Split(only, ",")); err != nil {
			t.Fatal(err)
		}
	}
	for _, scenario := range scenarios {
		k.stage(scenario.Name, func(t *testing.T) {
			if err := env.Play(t.Context(), scenario); err != nil {
				t.Error(err)
			}
		})
	}
}

// chosen returns the scenarios with the given names.
func chosen(scenarios []suite.Scenario, names []string) ([]suite.Scenario, error) {
	byName := map[string]suite.Scenario{}
	var known []string
	for _, s := range scenarios {
		byName[s.Name], known = s, append(known, s.Name)
	}
	var some []suite.Scenario
	for _, name := range names {
		scenario, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("ONLY names %q, want some of %s", name, strings.Join(known, ", "))
		}
		some = append(some, scenario)
	}
	return some, nil
}

// harness carries TestKind from stage to stage.
type harness struct {
	t         *testing.T
	root      string // of the repository
	dir       string // for files of the kit
	artifacts string
	kit       *kind.Kit
	options   *terraform.Options
	rows      []row
}

// row is one line of the summary.
type row struct {
	stage, outcome string
	took           time.Duration
}

// stage runs a part of the test as a subtest. A failed apply or plan ends the whole test.
func (k *harness) stage(name string, run func(*testing.T)) {
	k.t.Helper()
	outcome, began := "skipped", time.Now()
	test_structure.RunTestStage(k.t, name, func() {
		outcome = "passed"
		if !k.t.Run(name, run) {
			outcome = "failed"
		}
	})
	k.rows = append(k.rows, row{name, outcome, time.Since(began)})
	if outcome == "failed" && (name == "apply" || name == "plan") {
		k.t.FailNow()
	}
}

// writeSummary writes the outcome of every stage to a table in Markdown.
func (k *harness) writeSummary() {
	var b strings.Builder
	fmt.Fprintf(&b, "| stage | outcome | took |\n| --- | --- | --- |\n")
	for _, r := range k.rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.stage, r.outcome, r.took.Round(time.Second))
	}
	if err := os.WriteFile(filepath.Join(k.artifacts, "summary.md"), []byte(b.String()), 0o644); err != nil {
		k.t.Error(err)
	}
	k.t.Logf("\n%s", b.String())
}

// prepare builds what is missing and writes Terraform's variables: the kit's, overridden by those
// that make sets in the environment.
func (k *harness) prepare() {
	t := k.t
	began := time.Now()
	kit, err := kind.Prepare(t.Context(), t.Logf, k.dir)
	must(t, err)
	file := kind.VariablesFile(k.dir)
	if os.Getenv("SKIP_apply") == "" { // otherwise the cluster was made with the existing file
		must(t, kit.Unused())
		more, err := kind.Variables(os.Getenv)
		must(t, err)
		if _, chosen := more["gitea_port"]; !chosen {
			more["gitea_port"], err = freePort()
			must(t, err)
		}
		must(t, kit.WriteVariables(file, more))
	}
	k.kit = kit
	for name, value := range kit.Env { // the test uses the kit's kubectl and helm too
		t.Setenv(name, value)
	}
	k.options = &terraform.Options{
		TerraformBinary: kit.Terraform, TerraformDir: kit.Configuration, EnvVars: kit.Env,
		VarFiles: []string{file}, NoColor: true, Logger: logger.TestingT, LockTimeout: "15m", Lock: true,
	}
	k.rows = append(k.rows, row{"prepare", "passed", time.Since(began)})
}

// freePort returns a free port on loopback.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (k *harness) apply(t *testing.T) {
	terraform.InitContext(t, t.Context(), k.options)
	claims := *k.options
	claims.Targets = kind.Claims(os.Getenv(kind.ExistingCluster) != "")
	terraform.ApplyContext(t, t.Context(), &claims)
	if _, err := terraform.ApplyContextE(t, t.Context(), k.options); err != nil {
		if err := k.collect(t); err != nil {
			t.Logf("no artifacts: %v", err)
		}
		t.Fatal(err)
	}
}

// collect collects the artifacts of a cluster that did not become ready.
func (k *harness) collect(t *testing.T) error {
	kubeconfig, err := terraform.OutputContextE(t, t.Context(), k.options, "kubeconfig")
	if err != nil {
		return err
	}
	config, err := onkube.LoadConfig(kubeconfig)
	if err != nil {
		return err
	}
	return artifacts.Collect(t.Context(), config, filepath.Join(k.artifacts, "apply"))
}

// planIsEmpty checks that a second apply would change nothing.
func (k *harness) planIsEmpty(t *testing.T) {
	if code := terraform.PlanExitCodeContext(t, t.Context(), k.options); code != terraform.DefaultSuccessExitCode {
		t.Errorf("the plan after apply has changes (exit code %d):\n%s", code, terraform.PlanContext(t, t.Context(), k.options))
	}
}

// destroy removes everything, also when the test was stopped.
func (k *harness) destroy(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), destroyDeadline)
	defer cancel()
	terraform.InitContext(t, ctx, k.options)
	if _, err := terraform.DestroyContextE(t, ctx, k.options); err != nil {
		t.Fatalf("%v\n\"make e2e-kind-down\" tries again", err)
	}
	must(t, k.kit.RemoveState())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
