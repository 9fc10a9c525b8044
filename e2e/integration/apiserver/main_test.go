// Package apiserver_test runs the product's controller, as it is wired for a
// cluster, on a real API server with everybody else played by the tests: what
// goes wrong on the way between the two can then be chosen, and what was asked
// of the API server can be counted.
//
// The replicas here have no leader election: all act on every queue, at once.
package apiserver_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/stacktest"
)

const (
	// queueDeadline is how long a queue may take to be over.
	queueDeadline = 60 * time.Second
	// stepDeadline is how long one step of a script may take.
	stepDeadline = 20 * time.Second
)

// Where the controller looks for its configuration.
const (
	systemNamespace = "pac-lease-queue"
	// usualConfig has only defaults.
	usualConfig = "usual"
	// hastyConfig has a claim given up within two seconds.
	hastyConfig = "hasty"
	// plainConfig has no annotations for people.
	plainConfig = "plain"
	// annotatedConfig has them often.
	annotatedConfig = "annotated"
	// memoryConfig keeps slots in memory.
	memoryConfig = "memory"
)

// server is the API server of all tests here; nil with -short.
var server *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs}, prepare))
}

// prepare makes what every replica wants to find, and sends what they log to a
// file of the stack.
func prepare(ctx context.Context, s *stack.Stack) error {
	server = s
	if err := os.Setenv(config.EnvNamespace, systemNamespace); err != nil {
		return err
	}
	logs, err := os.Create(filepath.Join(s.LogsDir(), "replicas.log"))
	if err != nil {
		return err
	}
	klog.LogToStderr(false)
	klog.SetOutput(logs)
	if err := s.NewNamespace(ctx, systemNamespace); err != nil {
		return err
	}
	for name, data := range map[string]map[string]string{
		usualConfig:     {},
		plainConfig:     {"annotations-positions": "0"},
		annotatedConfig: {"annotations-interval": "2s"},
		memoryConfig:    {"backend": "memory"},
		hastyConfig:     {"claim-ttl": "2s", "takeover-after": "1s", "recovery-interval": "200ms", "backoff-base": "1s", "backoff-max": "2s"},
	} {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
		if _, err := s.Kubernetes().CoreV1().ConfigMaps(systemNamespace).Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}
