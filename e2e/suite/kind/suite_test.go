package kind_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/gruntwork-io/terratest/modules/logger"
	"github.com/gruntwork-io/terratest/modules/terraform"
	"github.com/gruntwork-io/terratest/modules/test-structure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/artifacts"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/fromenv"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitea"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/smee"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/kind"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/onkube"
)

var enabled = flag.Bool("terraform", false, "put the whole system on a cluster, play the suite there and remove it")

// Deadlines.
const (
	destroyDeadline = 10 * time.Minute
	relayDeadline   = time.Minute
)

// TestKind puts the whole system on a kind cluster by terraform/e2e, plays the
// suite's list there, and takes it away again. Its stages are prepare, apply, plan,
// every scenario by its name, and destroy; each is left out if SKIP_ and its name is
// set, and all scenarios that ONLY does not name, if it is set. What a failed stage leaves is in E2E_ARTIFACTS.
func TestKind(t *testing.T) {
	if !*enabled {
		t.Skip(`needs a container engine: run "make e2e-kind"`)
	}
	root, err := build.Root()
	must(t, err)
	k := &harness{t: t, root: root, dir: filepath.Join(root, "bin", "kind"), artifacts: os.Getenv("E2E_ARTIFACTS")}
	if k.artifacts == "" {
		k.artifacts = filepath.Join(k.dir, "artifacts")
	} else if !filepath.IsAbs(k.artifacts) {
		k.artifacts = filepath.Join(root, k.artifacts) // as make means it
	}
	must(t, os.MkdirAll(k.artifacts, 0o755))
	defer k.writeSummary()

	k.prepare() // ends it all before destroy is due if the cluster is not ours
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

// chosen are the scenarios with these names.
func chosen(from []suite.Scenario, names []string) ([]suite.Scenario, error) {
	var some []suite.Scenario
	for _, name := range names {
		i := slices.IndexFunc(from, func(s suite.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("ONLY names %q; here are %s", name, strings.Join(namesOf(from), ", "))
		}
		some = append(some, from[i])
	}
	return some, nil
}

func namesOf(scenarios []suite.Scenario) (names []string) {
	for _, s := range scenarios {
		names = append(names, s.Name)
	}
	return names
}

type harness struct {
	t         *testing.T
	root, dir string
	artifacts string
	kit       *kind.Kit
	options   *terraform.Options
	rows      []row
}

// row is a line of the summary.
type row struct {
	stage, outcome string
	took           time.Duration
}

// stage runs a part of the test as one of its own. One that fails before there is a
// cluster ends it all.
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

// writeSummary leaves a table of what happened, in Markdown.
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

// prepare builds what is missing, and works out Terraform's variables: those of the
// kit, on top of those that make's have given.
func (k *harness) prepare() {
	t := k.t
	began := time.Now()
	kit, err := kind.Prepare(t.Context(), t.Logf, k.dir)
	must(t, err)
	file := kind.VariablesFile(k.dir)
	if os.Getenv("SKIP_apply") == "" { // else what is there was made with the file that is there
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
	for name, value := range kit.Env { // here, too, kubectl and helm are those of the kit
		t.Setenv(name, value)
	}
	k.options = &terraform.Options{
		TerraformBinary: kit.Terraform, TerraformDir: kit.Configuration, EnvVars: kit.Env,
		VarFiles: []string{file}, NoColor: true, Logger: logger.TestingT, LockTimeout: "15m", Lock: true,
	}
	k.rows = append(k.rows, row{"prepare", "passed", time.Since(began)})
}

// freePort is a port on loopback that nobody listens on.
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
			t.Logf("nothing was collected: %v", err)
		}
		t.Fatal(err)
	}
}

// collect leaves what there is to see of a cluster that is not ready, if there is one.
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

// planIsEmpty: what was applied is what is configured.
func (k *harness) planIsEmpty(t *testing.T) {
	if code := terraform.PlanExitCodeContext(t, t.Context(), k.options); code != terraform.DefaultSuccessExitCode {
		t.Errorf("a plan after apply has changes (exit code %d):\n%s", code, terraform.PlanContext(t, t.Context(), k.options))
	}
}

// destroy removes everything, also after a test that was stopped.
func (k *harness) destroy(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), destroyDeadline)
	defer cancel()
	terraform.InitContext(t, ctx, k.options)
	if _, err := terraform.DestroyContextE(t, ctx, k.options); err != nil {
		t.Fatalf("%v\n\"make e2e-kind-down\" tries again", err)
	}
	must(t, k.kit.RemoveState())
}

// environment is what the scenarios find.
func (k *harness) environment() *suite.Env {
	t := k.t
	outputs := terraform.OutputAllContext(t, t.Context(), k.options)
	value := func(name string) string { s, _ := outputs[name].(string); return s }
	cluster, err := onkube.New(t.Context(), onkube.Options{
		Kubeconfig:     value("kubeconfig"),
		Chart:          filepath.Join(k.root, "charts", "pac-lease-queue"),
		WatchersScript: filepath.Join(k.root, "terraform", "modules", "pipelines-as-code", "watchers.sh"),
		StepImage:      k.kit.StepImage,
		Dir:            k.dir,
		Log:            t.Logf,
	})
	must(t, err)
	recorder, err := history.Record(t.Context(), cluster.Config())
	must(t, err)
	t.Cleanup(recorder.Stop)

	// Pods are real here. That a container runtime fails to start one, which Tekton
	// warns of and tries again, is nothing to judge the add-on by.
	e := &suite.Env{Tolerated: suite.OthersWarnings, Cluster: cluster, Recorder: recorder, Log: t.Logf, Artifacts: k.artifacts}
	if value("gitea_cluster_url") != "" {
		e.Providers = k.gitea(cluster, value)
	}
	elsewhere, err := fromenv.Providers(fromenv.OS)
	must(t, err)
	for _, line := range elsewhere.Skipped {
		t.Log(line)
	}
	if len(elsewhere.Providers) > 0 {
		k.relay(value("kubeconfig"), elsewhere.Relay)
	}
	e.Providers = append(e.Providers, elsewhere.Providers...)
	if len(e.Providers) == 0 {
		t.Fatal("there is no Git provider: have Terraform install Gitea (git_provider), or set the tokens of another; docs/e2e.md tells how")
	}
	return e
}

// gitea is the cluster's, as its user and as an organisation.
func (k *harness) gitea(cluster *onkube.Cluster, value func(string) string) []provider.Provider {
	t := k.t
	kube, err := kubernetes.NewForConfig(cluster.Config())
	must(t, err)
	at := terraform.OutputMapContext(t, t.Context(), k.options, "gitea_token_secret")
	secret, err := kube.CoreV1().Secrets(at["namespace"]).Get(t.Context(), at["name"], metav1.GetOptions{})
	must(t, err)
	options := gitea.Options{
		URL: value("gitea_url"), API: value("gitea_cluster_url"), Token: string(secret.Data[at["key"]]), Hook: value("pac_controller_url"),
	}
	if options.URL == "" { // no port of this machine leads to it
		options.URL = k.forward(value("kubeconfig"), at["namespace"], "service/gitea", "3000")
	}
	client, err := sdk.NewClient(options.URL, sdk.SetToken(options.Token))
	must(t, err)
	const organisation = "team"
	if _, answer, err := client.GetOrg(organisation); answer != nil && answer.StatusCode == 404 {
		_, _, err = client.CreateOrg(sdk.CreateOrgOption{Name: organisation})
		must(t, err)
	} else {
		must(t, err)
	}
	user := gitea.New(options)
	options.Owner = organisation
	return []provider.Provider{user, gitea.New(options)}
}

// relay brings webhooks from a channel on the internet to PAC's controller.
func (k *harness) relay(kubeconfig, channel string) {
	t := k.t
	target := k.forward(kubeconfig, "pipelines-as-code", "service/pipelines-as-code-controller", "8080")
	ctx, cancel := context.WithTimeout(t.Context(), relayDeadline)
	defer cancel()
	relay, err := smee.Start(ctx, smee.Options{Channel: channel, Target: target, Log: t.Logf})
	must(t, err)
	t.Cleanup(relay.Close)
}

var forwarding = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:[0-9]+)`)

// forward is an address on this machine that leads to a port in the cluster until the
// test ends.
func (k *harness) forward(kubeconfig, namespace, service, port string) string {
	t := k.t
	forward := exec.CommandContext(t.Context(), "kubectl", "--kubeconfig", kubeconfig, "--namespace", namespace, "port-forward", service, ":"+port)
	var complaints strings.Builder
	forward.Stderr = &complaints
	out, err := forward.StdoutPipe()
	must(t, err)
	must(t, forward.Start())
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	found := forwarding.FindStringSubmatch(line)
	if found == nil {
		_ = forward.Process.Kill()
		_ = forward.Wait()
		t.Fatalf("kubectl port-forward to %s in namespace %s says %q, %v\n%s", service, namespace, line, err, complaints.String())
	}
	go func() { // a line per connection: if nobody read them, it would stop in the end
		_, _ = io.Copy(io.Discard, said)
		_ = forward.Wait()
	}()
	return "http://" + found[1]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
