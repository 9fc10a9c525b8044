package apiserver_test

import (
	"context"
	"fmt"
	"net/http"
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
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/wire"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

var replicas atomic.Int32

// patience is short, because requests are answered within milliseconds here.
const patience = 2 * time.Second

const logConfig = `{
	"level": "info", "encoding": "json", "outputPaths": [%q],
	"encoderConfig": {"messageKey": "message", "levelKey": "level", "timeKey": "time", "timeEncoder": "iso8601"}
}`

// startReplica starts a whole controller in this process, which ends with the test, and returns its
// watchdog once its caches are filled. From the moment the replica is ready, its requests pass the
// taps.
func startReplica(t *testing.T, configMap string, taps ...wire.Tap) *watchdog.Watchdog {
	t.Helper()
	t.Setenv(config.EnvConfigMap, configMap)
	env, err := config.ReadEnvironment(os.Getenv)
	fixture.Must(t, err)
	var ready atomic.Bool
	guarded := make([]wire.Tap, len(taps))
	for i, tap := range taps {
		guarded[i] = wire.When(func(wire.Request) bool { return ready.Load() }, tap)
	}
	rest := wire.Through(server.Config(stack.Admin), guarded...)
	dog := watchdog.New(clock.RealClock{}, patience)
	rest.Wrap(dog.Through)
	kube, err := kubernetes.NewForConfig(rest)
	fixture.Must(t, err)
	cm, err := kube.CoreV1().ConfigMaps(systemNamespace).Get(t.Context(), env.ConfigMap, metav1.GetOptions{})
	fixture.Must(t, err)

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	logFile := filepath.Join(server.LogsDir(), fmt.Sprintf("replica-%d.log", replicas.Add(1)))
	logger, _ := logging.NewLogger(fmt.Sprintf(logConfig, logFile), "")
	ctx = logging.WithLogger(ctx, logger)
	ctx = injection.WithConfig(ctx, rest)
	ctx = context.WithValue(ctx, kubeclient.Key{}, kubernetes.Interface(kube))
	impl := controller.New(controller.Outside{
		Environment: env, Watchdog: dog, Debug: func(http.Handler) {}, Ready: func() { ready.Store(true) },
	})(ctx, configmap.NewStaticWatcher(cm))
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
