package doctor

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

func TestSelfTest(t *testing.T) {
	const ok = "ok    configuration\nok    Pipelines-as-Code\nok    replicas\nok    leader\n"
	for name, c := range map[string]struct {
		data           map[string]string // of the ConfigMap; nil for none
		ready          int32
		renewed        time.Duration // before now
		hold, guard    string        // names, if the chart installs them
		holds, refuses bool          // what the API server does
		want           string        // the first words of each line
		failed         string
	}{
		"all is well":    {map[string]string{}, 2, 0, "hold", "guard", true, true, ok + "ok    hold\nok    guard\n", ""},
		"switched off":   {map[string]string{}, 2, 0, "", "", false, false, ok + "off   hold\noff   guard\n", ""},
		"handed back":    {map[string]string{"hand-back": "true"}, 2, 0, "", "", false, false, ok + "off   hold\noff   guard\n", ""},
		"a slow renewal": {map[string]string{}, 2, 40 * time.Second, "", "", false, false, ok + "off   hold\noff   guard\n", ""},
		"no hold, no guard": {
			map[string]string{},
			2, 0, "hold", "guard", false, false, ok + "WRONG hold\nWRONG guard\n",
			"2 checks failed",
		},
		"nothing works": {
			nil, 1, time.Minute, "", "", false, false,
			"WRONG configuration\nok    Pipelines-as-Code\nWRONG replicas\nWRONG leader\noff   hold\noff   guard\n", "3 checks failed",
		},
		// T15
		"Pipelines-as-Code is elsewhere": {
			map[string]string{"pac-namespace": "openshift-pipelines"},
			2, 0, "", "", false, false,
			strings.Replace(ok, "ok    Pipelines", "WRONG Pipelines", 1) + "off   hold\noff   guard\n", "1 check failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := installation("tools", "")
			i.Deployment.Name, i.Deployment.Status.ReadyReplicas = "pac-lease-queue", c.ready
			lease := renewed(noon.Add(-c.renewed))
			lease.Namespace, lease.Name = "tools", config.Component+".queues.00-of-01"
			objects := []runtime.Object{&i.Deployment, &lease, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
				Namespace: config.Defaults().PACNamespace, Name: pac.SettingsName,
			}}}
			if c.data != nil {
				objects = append(objects, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
					Namespace: "tools",
					Name:      "pac-lease-queue-config",
				}, Data: c.data})
			}
			tekton := tektonfake.NewSimpleClientset()
			tekton.PrependReactor("create", "pipelineruns", func(a clienttesting.Action) (bool, runtime.Object, error) {
				pr := a.(clienttesting.CreateAction).GetObject().(*tektonv1.PipelineRun).DeepCopy()
				if _, forged := pr.Annotations[pac.Claim]; forged && c.refuses {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{}, pr.Name, errors.New("forged"))
				}
				if order, ordered := pr.Annotations[keys.ExecutionOrder]; ordered && c.holds {
					pr.Annotations = map[string]string{pac.HeldOrder: order}
				}
				return true, pr, nil
			})
			environment, err := config.ReadEnvironment(func(variable string) string {
				return map[string]string{config.EnvNamespace: "tools", config.EnvHold: c.hold, config.EnvGuard: c.guard}[variable]
			})
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			test := &SelfTest{
				Kube: fake.NewClientset(objects...), Tekton: tekton, Environment: environment,
				Clock: clocktesting.NewFakeClock(noon),
			}
			err = test.Run(t.Context(), &out)
			if got := message(err); got != c.failed {
				t.Errorf("the error is %q, want %q", got, c.failed)
			}
			var got strings.Builder
			for line := range strings.Lines(out.String()) {
				if line[0] != ' ' {
					head, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
					got.WriteString(head + "\n")
				}
			}
			if diff := cmp.Diff(c.want, got.String()); diff != "" {
				t.Errorf("lines (-want +got):\n%s\n%s", diff, &out)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// helm test may come right after helm install: it waits for the replicas, up to its deadline.
func TestSelfTestWaitsForReplicas(t *testing.T) {
	for name, c := range map[string]struct {
		readyAfter time.Duration
		failed     string
	}{
		"ready in time": {30 * time.Second, ""},
		"never ready":   {time.Hour, "1 check failed"},
	} {
		t.Run(name, func(t *testing.T) {
			i := installation("tools", "")
			i.Deployment.Name = "pac-lease-queue"
			lease := renewed(noon.Add(time.Hour))
			lease.Namespace, lease.Name = "tools", config.Component+".queues.00-of-01"
			kube := fake.NewClientset(&lease,
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "tools", Name: "pac-lease-queue-config"}},
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: config.Defaults().PACNamespace, Name: pac.SettingsName}})
			clock := clocktesting.NewFakeClock(noon)
			kube.PrependReactor("get", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
				deployment := i.Deployment.DeepCopy()
				if clock.Since(noon) < c.readyAfter {
					deployment.Status.ReadyReplicas = 0
				}
				return true, deployment, nil
			})
			environment, _ := config.ReadEnvironment(func(variable string) string {
				return map[string]string{config.EnvNamespace: "tools"}[variable]
			})
			test := &SelfTest{Kube: kube, Environment: environment, Clock: clock, Patience: time.Minute}
			var out bytes.Buffer
			result := make(chan error)
			go func() { result <- test.Run(t.Context(), &out) }()
			for {
				select {
				case err := <-result:
					if got := message(err); got != c.failed || clock.Since(noon) > time.Minute+selfTestPause {
						t.Errorf("after %s the error is %q, want %q\n%s", clock.Since(noon), got, c.failed, &out)
					}
					return
				default:
					if clock.HasWaiters() {
						clock.Step(selfTestPause)
					}
				}
			}
		})
	}
}
