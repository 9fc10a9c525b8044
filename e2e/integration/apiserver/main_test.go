// Package apiserver_test runs the product's controller, wired as in a cluster, on a real API
// server. The tests play everything else. They choose what goes wrong between the two, and count
// the requests the API server receives.
//
// The replicas have no leader election: all act on every queue at the same time.
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
	// queueDeadline bounds the time until the next run of a queue is over, or until all is.
	queueDeadline = 60 * time.Second
	// stepDeadline bounds one step of a script.
	stepDeadline = 20 * time.Second
)

// systemNamespace holds the ConfigMaps with the configurations below.
const systemNamespace = "pac-lease-queue"

// Configurations of a replica.
const (
	usualConfig     = "usual"     // the defaults
	hastyConfig     = "hasty"     // claims expire after two seconds
	plainConfig     = "plain"     // no annotations
	annotatedConfig = "annotated" // frequent annotations
	memoryConfig    = "memory"    // slots in memory
	blindConfig     = "blind"     // looks for PAC where it is not
	secretsConfig   = "secrets"   // its PAC makes no git secrets
)

// server is the API server of all tests here, or nil with -short.
var server *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(stacktest.Main(m, stack.Options{Components: stack.CRDs}, prepare))
}

// prepare creates what replicas look for, and sends their logs to a file of the stack.
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
		blindConfig:     {"pac-namespace": "nowhere"},
		secretsConfig:   {"pac-namespace": "pac-without-secrets"},
		hastyConfig: {
			"claim-ttl": "2s", "takeover-after": "1s", "recovery-interval": "200ms", "backoff-base": "1s", "backoff-max": "2s",
		},
	} {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
		if _, err := s.Kubernetes().CoreV1().ConfigMaps(systemNamespace).Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}
