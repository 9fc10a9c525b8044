// Package withoutpac_test plays the scenario for any PipelineRun on a stack in which there is
// nothing of Pipelines-as-Code: not even its CRDs.
package withoutpac_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/history"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/suite/onstack"
)

var (
	env     suite.Env
	cluster *onstack.Cluster
)

func TestMain(m *testing.M) {
	options := stack.Options{
		Components: stack.ControllerManager | stack.CRDs | stack.Tekton | stack.Kwok | stack.Helm, RunTime: time.Second, Revive: true,
	}
	addon := stack.AddonOptions{
		Replicas: 2, Race: true, Values: []string{"pac.enabled=false", "concurrency.orderGrace=6s"},
	}
	code := stacktest.Main(m, options, func(ctx context.Context, s *stack.Stack) (err error) {
		crds, err := apiextensions.NewForConfig(s.Config(stack.Admin))
		if err != nil {
			return err
		}
		const repositories = "repositories.pipelinesascode.tekton.dev"
		if err := crds.ApiextensionsV1().CustomResourceDefinitions().Delete(ctx, repositories, metav1.DeleteOptions{}); err != nil {
			return err
		}
		cluster = onstack.New(s, addon)
		env = suite.Env{Cluster: cluster, Artifacts: filepath.Join(s.Dir(), "artifacts")}
		env.Recorder, err = history.Record(ctx, s.Config(stack.Admin))
		return err
	})
	if env.Recorder != nil {
		env.Recorder.Stop()
	}
	os.Exit(code)
}

func TestAnyPipelineRun(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the embedded stack")
	}
	env.Log = t.Logf
	if err := cluster.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := cluster.Addon().Test(t.Context()); err != nil {
		t.Errorf("helm test: %v\n%s", err, out)
	}
	if err := env.Play(t.Context(), suite.AnyPipelineRun()); err != nil {
		t.Fatal(err)
	}
}
