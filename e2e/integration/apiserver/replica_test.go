package apiserver_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/logging"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller"
	"github.com/pac-lease-queue/pac-lease-queue/addon/controller/watchdog"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/live"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

var replicas atomic.Int32

// patience is short: requests here are answered within milliseconds.
const patience = 2 * time.Second

const logConfig = `{"level": "info", "encoding": "json", "outputPaths": [%q], "encoderConfig": {"messageKey": "message", "levelKey": "level", "timeKey": "time", "timeEncoder": "iso8601"}}`

// startReplica starts a whole controller in this process and returns when its
// caches are filled. It ends with the test. From the moment that it is there, its
// requests pass the taps.
//
// It returns what watches over its work.
func startReplica(t *testing.T, configMap string, taps ...wire.Tap) *watchdog.Watchdog {
	t.Helper()
	t.Setenv(config.EnvConfigMap, configMap)
	env, err := config.ReadEnvironment(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	var there atomic.Bool
	guarded := make([]wire.Tap, len(taps))
	for i, tap := range taps {
		guarded[i] = wire.When(func(wire.Request) bool { return there.Load() }, tap)
	}
	rest := wire.Through(server.Config(stack.Admin), guarded...)
	dog := watchdog.New(clock.RealClock{}, patience)
	rest.Wrap(dog.Through)
	kube, err := kubernetes.NewForConfig(rest)
	if err != nil {
		t.Fatal(err)
	}
	cm, err := kube.CoreV1().ConfigMaps(systemNamespace).Get(t.Context(), env.ConfigMap, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	logger, _ := logging.NewLogger(fmt.Sprintf(logConfig, filepath.Join(server.LogsDir(), fmt.Sprintf("replica-%d.log", replicas.Add(1)))), "")
	ctx = logging.WithLogger(ctx, logger)
	ctx = injection.WithConfig(ctx, rest)
	ctx = context.WithValue(ctx, kubeclient.Key{}, kubernetes.Interface(kube))
	impl := controller.New(controller.Outside{Environment: env, Watchdog: dog, Live: live.New(clock.RealClock{}), Ready: func() { there.Store(true) }})(ctx, configmap.NewStaticWatcher(cm))
	var running sync.WaitGroup
	running.Go(func() {
		if err := impl.RunContext(ctx, impl.Concurrency); err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return dog
}
