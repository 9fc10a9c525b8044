package scenarios

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// helm uninstall gives what waits back to PAC, whose watcher drains it, and leaves
// nothing behind.
func TestUninstallHandsBack(t *testing.T) {
	s := newScene(t, 1, 2)
	s.mayWarn = others
	s.push(5, 3*time.Second)
	s.started(1)
	s.queued(5)
	namespace := addon.Namespace()
	s.without()
	v := recorder.View(s.key)
	if len(v.In(queue.Pending)) == 0 {
		t.Error("nothing was left to hand back")
	}
	leases, err := cluster.Kubernetes().CoordinationV1().Leases("").List(s.ctx, metav1.ListOptions{LabelSelector: lease.Selector})
	s.must(err)
	if len(leases.Items) > 0 {
		t.Errorf("%d Leases are left", len(leases.Items))
	}
	for kind, names := range leftBehind(s) {
		for _, name := range names {
			if strings.Contains(name, "pac-lease-queue") || strings.HasPrefix(name, namespace+"/") {
				t.Errorf("%s %s is left", kind, name)
			}
		}
	}
	s.done(5)
	s.finished(5)
	s.install()
	if out, err := addon.Test(s.ctx); err != nil {
		t.Errorf("helm test: %v\n%s", err, out)
	}
}

// A new release replaces the replicas one after the other, and so does the way
// back; the queue goes on meanwhile.
func TestUpgradeAndRollbackUnderLoad(t *testing.T) {
	s := newScene(t, 2, 2)
	s.push(14, 3*time.Second)
	s.done(1)
	before := addon.Replicas()
	s.must(addon.Upgrade(s.ctx, "podAnnotations.release=next"))
	upgraded := addon.Replicas()
	s.done(7)
	s.must(addon.Rollback(s.ctx))
	s.finished(14)
	for i, r := range addon.Replicas() {
		if r == upgraded[i] || upgraded[i] == before[i] {
			t.Errorf("%s was not replaced twice", r.Name())
		}
	}
}

// leftBehind lists what an uninstall may have forgotten, by kind.
func leftBehind(s *scene) map[string][]string {
	s.Helper()
	kube, left := cluster.Kubernetes(), map[string][]string{}
	note := func(kind string, o metav1.Object) {
		name := o.GetName()
		if o.GetNamespace() != "" {
			name = o.GetNamespace() + "/" + name
		}
		left[kind] = append(left[kind], name)
	}
	all := metav1.ListOptions{}
	holds, err := kube.AdmissionregistrationV1().MutatingAdmissionPolicies().List(s.ctx, all)
	s.must(err)
	for i := range holds.Items {
		note("MutatingAdmissionPolicy", &holds.Items[i])
	}
	hooks, err := kube.AdmissionregistrationV1().MutatingWebhookConfigurations().List(s.ctx, all)
	s.must(err)
	for i := range hooks.Items {
		note("MutatingWebhookConfiguration", &hooks.Items[i])
	}
	guards, err := kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(s.ctx, all)
	s.must(err)
	for i := range guards.Items {
		note("ValidatingAdmissionPolicy", &guards.Items[i])
	}
	roles, err := kube.RbacV1().ClusterRoles().List(s.ctx, all)
	s.must(err)
	for i := range roles.Items {
		note("ClusterRole", &roles.Items[i])
	}
	bindings, err := kube.RbacV1().ClusterRoleBindings().List(s.ctx, all)
	s.must(err)
	for i := range bindings.Items {
		note("ClusterRoleBinding", &bindings.Items[i])
	}
	secrets, err := kube.CoreV1().Secrets("").List(s.ctx, all)
	s.must(err)
	for i := range secrets.Items {
		note("Secret", &secrets.Items[i])
	}
	configs, err := kube.CoreV1().ConfigMaps("").List(s.ctx, all)
	s.must(err)
	for i := range configs.Items {
		if configs.Items[i].Name != "kube-root-ca.crt" {
			note("ConfigMap", &configs.Items[i])
		}
	}
	leases, err := kube.CoordinationV1().Leases("").List(s.ctx, all)
	s.must(err)
	for i := range leases.Items {
		note("Lease", &leases.Items[i])
	}
	return left
}
