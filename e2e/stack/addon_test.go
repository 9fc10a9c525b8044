package stack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const (
	addonDeadline = 3 * time.Minute
	addonStandIn  = "addon"
)

// observation is what a stand-in for the add-on found when it started.
type observation struct {
	Args []string
	Env  []string
	User string
	Pid  int
	// Server is the address of the API server.
	Server string
}

// The add-on's replicas have the number, arguments, environment and ServiceAccount of the chart's
// Deployment. A stand-in takes the place of the add-on's program.
func TestAddonRunsWhatTheChartSays(t *testing.T) {
	s := start(t, stack.Options{Components: stack.CRDs})
	ctx, cancel := context.WithTimeout(t.Context(), addonDeadline)
	defer cancel()
	addon, err := s.InstallAddon(ctx, stack.AddonOptions{
		Replicas: 2, Binary: os.Args[0], Env: []string{childVariable + "=" + addonStandIn},
		Via: func(replica int, apiServer string) (string, error) {
			if replica == 0 {
				return apiServer, nil
			}
			return strings.Replace(apiServer, "127.0.0.1", "localhost", 1), nil // the same, by another name
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(addon.Replicas()); n != 2 {
		t.Fatalf("%d replicas run, want 2", n)
	}
	for i, replica := range addon.Replicas() {
		got := observed(t, s, replica.Name())
		if host := []string{"127.0.0.1", "localhost"}[i]; !strings.HasPrefix(got.Server, "https://"+host+":") {
			t.Errorf("%s reaches the API server at %s, want host %s", replica.Name(), got.Server, host)
		}
		if want := []string{"controller"}; !slices.Equal(got.Args, want) {
			t.Errorf("%s: arguments %q, want %q", replica.Name(), got.Args, want)
		}
		if want := "system:serviceaccount:pac-lease-queue:pac-lease-queue"; got.User != want {
			t.Errorf("%s is user %s at the API server, want %s", replica.Name(), got.User, want)
		}
		for _, want := range []string{"SYSTEM_NAMESPACE=pac-lease-queue", "POD_NAME=" + replica.Name()} {
			if !slices.Contains(got.Env, want) {
				t.Errorf("the environment of %s lacks %s", replica.Name(), want)
			}
		}
	}

	first := addon.Replicas()[0]
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	if first.Running() {
		t.Error("the killed replica still runs")
	}
	first.SetEnv(childVariable+"="+addonStandIn, "FAILPOINT=here")
	if err := first.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if got := observed(t, s, first.Name()); !slices.Contains(got.Env, "FAILPOINT=here") {
		t.Error("the restarted replica lacks its own variable")
	}

	if err := addon.Scale(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if n := len(addon.Replicas()); n != 3 {
		t.Errorf("%d replicas after scaling, want 3", n)
	}
	before := observed(t, s, addon.Replicas()[1].Name()).Pid
	if err := addon.Upgrade(ctx, "podAnnotations.release=next"); err != nil {
		t.Fatal(err)
	}
	if n := len(addon.Replicas()); n != 3 {
		t.Errorf("%d replicas after the upgrade, want still 3", n)
	}
	if observed(t, s, addon.Replicas()[1].Name()).Pid == before {
		t.Error("the upgrade changed the pod template but did not replace the replica")
	}

	var pids []int
	for _, replica := range addon.Replicas() {
		pids = append(pids, replica.Pid())
	}
	if err := addon.Uninstall(ctx); err != nil {
		t.Fatal(err)
	}
	wantGone(t, pids)
	const hook = "pac-lease-queue-hand-back"
	got, user := observed(t, s, hook), "system:serviceaccount:pac-lease-queue:"+hook
	if got.User != user || !slices.Contains(got.Args, "hand-back") {
		t.Errorf("at the uninstall %s ran %q, want the Job of the hook", got.User, got.Args)
	}
	deployments := s.Kubernetes().AppsV1().Deployments(addon.Namespace())
	if _, err := deployments.Get(ctx, "pac-lease-queue", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Deployment still exists (%v)", err)
	}
}

// observed reads what a pod's stand-in found.
func observed(t *testing.T, s *stack.Stack, pod string) (o observation) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Dir(), pod+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// beAddon is the stand-in. It writes what it finds to a file and, as the controller, is ready until
// it gets SIGTERM.
func beAddon() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	me, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	b, err := json.Marshal(observation{
		Args: os.Args[1:], Env: os.Environ(), User: me.Status.UserInfo.Username, Pid: os.Getpid(), Server: config.Host,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(os.Getenv("POD_NAME")+".json", b, 0o600); err != nil {
		return err
	}
	if os.Args[1] != "controller" {
		return nil // a hook
	}
	server := &http.Server{
		Addr: "127.0.0.1:" + os.Getenv("PROBES_PORT"),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/readiness") {
				http.NotFound(w, r)
			}
		}),
		ReadHeaderTimeout: time.Second,
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return fmt.Errorf("stand-in: %w", err)
	}
	return nil
}
