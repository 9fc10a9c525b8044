//go:build terraform

package kind_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/gruntwork-io/terratest/modules/terraform"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/fromenv"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/gitea"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider/smee"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/onkube"
)

// relayDeadline bounds the connection to the channel for webhooks.
const relayDeadline = time.Minute

// environment returns the environment of the scenarios.
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

	e := &suite.Env{
		Cluster: cluster, Recorder: recorder, Log: t.Logf, Artifacts: k.artifacts,
		// Pods are real here. When the container runtime fails to start one, Tekton warns and tries
		// again, and the add-on is not to blame.
		Tolerated: suite.OthersWarnings,
	}
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
		t.Fatal("no Git provider is configured: have Terraform install Gitea (GIT_PROVIDER), or set the tokens of another (docs/e2e.md)")
	}
	return e
}

// gitea returns two accounts at the cluster's Gitea: its user and an organisation.
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
	if options.URL == "" { // no port of this machine leads to Gitea
		options.URL = k.forward(value("kubeconfig"), at["namespace"], "service/gitea", "3000")
	}
	client, err := sdk.NewClient(options.URL, sdk.SetToken(options.Token))
	must(t, err)
	const organisation = "team"
	if _, answer, err := client.GetOrg(organisation); answer != nil && answer.StatusCode == http.StatusNotFound {
		_, _, err = client.CreateOrg(sdk.CreateOrgOption{Name: organisation})
		must(t, err)
	} else {
		must(t, err)
	}
	user := gitea.New(options)
	options.Owner = organisation
	return []provider.Provider{user, gitea.New(options)}
}

// relay forwards webhooks from a channel on the internet to PAC's controller.
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

// forward returns an address on this machine that leads to a port in the cluster until the test
// ends.
func (k *harness) forward(kubeconfig, namespace, service, port string) string {
	t := k.t
	forward := exec.CommandContext(t.Context(), "kubectl",
		"--kubeconfig", kubeconfig, "--namespace", namespace, "port-forward", service, ":"+port)
	var stderr strings.Builder
	forward.Stderr = &stderr
	out, err := forward.StdoutPipe()
	must(t, err)
	must(t, forward.Start())
	stdout := bufio.NewReader(out)
	line, err := stdout.ReadString('\n')
	found := forwarding.FindStringSubmatch(line)
	if found == nil {
		_ = forward.Process.Kill()
		_ = forward.Wait()
		t.Fatalf("kubectl port-forward to %s in namespace %s printed %q, %v\n%s", service, namespace, line, err, stderr.String())
	}
	go func() { // kubectl prints a line per connection and would block on a full pipe
		_, _ = io.Copy(io.Discard, stdout)
		_ = forward.Wait()
	}()
	return "http://" + found[1]
}
