package controller

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
)

// T9: a replica that starts says that there is a second installation.
func TestSecondInstallationIsWarnedOf(t *testing.T) {
	now := time.Now()
	leader := func(namespace string, renewed time.Duration) coordinationv1.Lease {
		return coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pac-lease-queue.queues.00-of-01"},
			Spec: coordinationv1.LeaseSpec{
				HolderIdentity: new("pod-0"), RenewTime: &metav1.MicroTime{Time: now.Add(-renewed)},
			},
		}
	}
	for name, c := range map[string]struct {
		watched config.Namespaces
		leaders []coordinationv1.Lease
		want    string
	}{
		"alone":                 {nil, []coordinationv1.Lease{leader(tools, 0)}, ""},
		"two":                   {nil, []coordinationv1.Lease{leader(tools, 0), leader("other", 10*time.Second)}, "in namespace other."},
		"the other is gone":     {nil, []coordinationv1.Lease{leader(tools, 0), leader("other", time.Hour)}, ""},
		"in named namespaces":   {config.Namespaces{"shop"}, []coordinationv1.Lease{leader("other", 0)}, ""},
		"the other never leads": {nil, []coordinationv1.Lease{{ObjectMeta: metav1.ObjectMeta{Namespace: "other"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			kube := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: tools, Name: configName}})
			// The fake does not select by field.
			kube.PrependReactor("list", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
				list := &coordinationv1.LeaseList{}
				fields := a.(clienttesting.ListAction).GetListRestrictions().Fields
				if strings.HasSuffix(fields.String(), "=pac-lease-queue.queues.00-of-01") {
					list.Items = c.leaders
				}
				return true, list, nil
			})
			var told recorded
			warnOfOthers(t.Context(), kube, config.Environment{Namespace: tools, ConfigMap: configName, Watched: c.watched}, &told, now)
			got := ""
			if len(told) > 0 {
				got = told[0]
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) || c.want != "" && !strings.HasPrefix(got, "Warning ") {
				t.Errorf("the event is %q, want a Warning with %q", got, c.want)
			}
		})
	}
}
