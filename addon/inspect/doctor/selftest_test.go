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
	const ok = "ok    configuration\nok    replicas\nok    leader\n"
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
			"WRONG configuration\nWRONG replicas\nWRONG leader\noff   hold\noff   guard\n", "3 checks failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := installation("tools", "")
			i.Deployment.Name, i.Deployment.Status.ReadyReplicas = "pac-lease-queue", c.ready
			lease := renewed(noon.Add(-c.renewed))
			lease.Namespace, lease.Name = "tools", config.Component+".queues.00-of-01"
			objects := []runtime.Object{&i.Deployment, &lease}
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
				Clock: clocktesting.NewFakePassiveClock(noon),
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
