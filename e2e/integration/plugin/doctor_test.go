package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/doctor"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

const (
	release   = "pac-lease-queue" // its namespace, Deployment, ClusterRole and what is named after it
	pacInfo   = "pipelines-as-code-info"
	impatient = "500ms"
)

// examine runs doctor, on all namespaces.
func examine(t *testing.T, flags ...string) (doctor.Report, error) {
	t.Helper()
	out, _, failed := command(t, stack.Admin, append([]string{"doctor", "--settle", impatient, "-o", "json"}, flags...)...)
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("doctor printed %q: %v, %v", out, err, failed)
	}
	return report, failed
}

// A fault is made on a healthy cluster and taken back after that.
type fault struct {
	name string
	// down says that no replica works meanwhile, which would put it right.
	down  bool
	make  func(t *testing.T, namespace string) (undo func())
	check string
	// what and do are parts of what is said.
	what, do string
	// also names other checks that rightly find something.
	also []string
}

func TestDoctorFindsEachFault(t *testing.T) {
	faults := []fault{
		{name: "Lease deleted", down: true, make: deleteLease, check: "slots", what: "was deleted, though build runs in that slot", do: "puts it right by itself"},
		{name: "Lease edited", down: true, make: editLease, check: "slots", what: "names build without its UID", do: "puts it right by itself"},
		{name: "policy missing", make: deleteHold, check: "hold", what: "There is no hold", do: "helm upgrade"},
		{name: "guard off", make: unbindGuard, check: "guard", what: "nothing binds it", do: "helm upgrade"},
		{name: "RBAC missing a verb", make: takePatch, check: "rights", what: "patch pipelineruns.tekton.dev in all namespaces", do: "helm upgrade"},
		{name: "PAC too old", make: oldPAC, check: "Pipelines-as-Code", what: "0.27.0 is too old", do: "Upgrade Pipelines-as-Code"},
		{name: "config invalid", make: badConfig, check: "configuration", what: `claim-ttl: "soon" is not a duration`, do: "helm rollback"},
		{name: "two installs", make: installTwice, check: "two installations", what: "work on the queues of all namespaces", do: "helm uninstall other", also: []string{"replicas"}},
		{name: "clock skew", down: true, make: skewLeader, check: "clocks", what: "ahead of the API server's", do: "NTP"},
		{name: "refused start", make: refuseStart, check: "runs", what: "denied by the test", do: "let it through"},
	}
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			namespace := fmt.Sprintf("fault-%d", i)
			newQueue(t, namespace, 1)
			push(t, namespace, "build")
			started(t, namespace, "build")
			healthy(t)
			if f.down {
				replica := addon.Replicas()[0]
				must(t, replica.Kill())
				t.Cleanup(func() { must(t, replica.Restart(context.WithoutCancel(t.Context()))) })
			}
			undo := f.make(t, namespace)
			if undo != nil {
				t.Cleanup(undo)
			}
			found := func(other doctor.Finding) bool {
				return other.Check == f.check && strings.Contains(other.What, f.what) && strings.Contains(other.Do, f.do)
			}
			var report doctor.Report
			eventually(t, "doctor finds it", func() error {
				var err error
				if report, err = examine(t); err == nil {
					return errors.New("doctor succeeded")
				}
				if !slices.ContainsFunc(report.Findings, found) {
					return fmt.Errorf("doctor found %+v", report.Findings)
				}
				return nil
			})
			for _, other := range report.Findings {
				if !found(other) && !slices.Contains(f.also, other.Check) {
					t.Errorf("doctor also found: %+v", other)
				}
			}
			text, _, _ := command(t, stack.Admin, "doctor", "--settle", impatient)
			t.Logf("doctor says:\n%s", text)
		})
	}
}

// healthy waits until doctor has nothing to say but one line.
func healthy(t *testing.T) {
	t.Helper()
	eventually(t, "the cluster is healthy", func() error {
		out, _, err := command(t, stack.Admin, "doctor", "--settle", impatient)
		if err == nil && (strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "Nothing is wrong: ")) {
			err = errors.New("more than a line")
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// A Lease that does not read as a slot any more, whatever it lost, is one again.
func TestDoctorPutsBackWhatASlotIsKnownBy(t *testing.T) {
	replica := addon.Replicas()[0]
	for name, take := range map[string]func(*coordinationv1.Lease){
		"labels":     func(l *coordinationv1.Lease) { l.Labels = nil },
		"annotation": func(l *coordinationv1.Lease) { delete(l.Annotations, "pac-lease-queue.dev/repository") },
	} {
		t.Run(name, func(t *testing.T) {
			namespace := "fixed-" + name
			newQueue(t, namespace, 1)
			push(t, namespace, "build")
			started(t, namespace, "build")
			must(t, replica.Kill())
			t.Cleanup(func() { must(t, replica.Restart(context.WithoutCancel(t.Context()))) })
			before := changeLease(t, namespace, "shop.slot-0", take)
			report, err := examine(t)
			if err == nil || len(report.Findings) != 1 || report.Findings[0].Repair == nil {
				t.Fatalf("doctor found %+v, %v", report.Findings, err)
			}
			if report, err = examine(t, "--fix"); err != nil || report.Findings[0].Repair.Outcome != "done" {
				t.Errorf("doctor --fix: %v, %+v", err, report.Findings)
			}
			after, err := cluster.Kubernetes().CoordinationV1().Leases(namespace).Get(t.Context(), "shop.slot-0", metav1.GetOptions{})
			must(t, err)
			if key, slot, reads := lease.Decode(after); !reads || key.Repository != "shop" || slot.Holder == nil || slot.Holder.Name != *before.Spec.HolderIdentity {
				t.Errorf("the Lease is %+v", after)
			}
			if report, err := examine(t); err != nil {
				t.Errorf("afterwards doctor finds %+v, %v", report.Findings, err)
			}
		})
	}
}

// Who may only read what the queues are made of is told what was not seen.
func TestDoctorSaysWhatItMayNotRead(t *testing.T) {
	newQueue(t, "unseen", 1)
	out, _, _ := command(t, stack.Developer, "doctor", "--settle", impatient, "--namespace", "unseen")
	for _, want := range []string{"You may not list Deployments", "The hold: "} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q:\n%s", want, out)
		}
	}
}

// What doctor asks about is what the chart gives.
func TestRightsAreTheCharts(t *testing.T) {
	if cluster == nil {
		t.Skip("runs on a real API server")
	}
	clients := inspect.Clients{Kube: cluster.Kubernetes(), Tekton: tekton, PAC: paas}
	reading, err := inspect.Read(t.Context(), clients, inspect.Scope{})
	must(t, err)
	if len(reading.Installations) != 1 {
		t.Fatalf("there are %d installations", len(reading.Installations))
	}
	asked := map[string]bool{}
	for _, r := range doctor.RightsOf(reading.Installations[0]) {
		asked[strings.TrimSpace(fmt.Sprint(r.Verb, " ", r.Group, "/", r.Resource, " ", r.Name))] = true
	}
	everywhere, err := cluster.Kubernetes().RbacV1().ClusterRoles().Get(t.Context(), release, metav1.GetOptions{})
	must(t, err)
	own, err := cluster.Kubernetes().RbacV1().Roles(addon.Namespace()).Get(t.Context(), release, metav1.GetOptions{})
	must(t, err)
	given := map[string]bool{}
	for _, rule := range slices.Concat(everywhere.Rules, own.Rules) {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				given[strings.TrimSpace(fmt.Sprint(verb, " ", rule.APIGroups[0], "/", resource, " ", strings.Join(rule.ResourceNames, ",")))] = true
			}
		}
	}
	if diff := cmp.Diff(given, asked); diff != "" {
		t.Errorf("rights (-chart +doctor):\n%s", diff)
	}
}

func changeLease(t *testing.T, namespace, name string, change func(*coordinationv1.Lease)) *coordinationv1.Lease {
	t.Helper()
	leases := cluster.Kubernetes().CoordinationV1().Leases(namespace)
	l, err := leases.Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	before := l.DeepCopy()
	change(l)
	_, err = leases.Update(t.Context(), l, metav1.UpdateOptions{})
	must(t, err)
	return before
}

func deleteLease(t *testing.T, namespace string) func() {
	must(t, cluster.Kubernetes().CoordinationV1().Leases(namespace).Delete(t.Context(), "shop.slot-0", metav1.DeleteOptions{}))
	return nil
}

func editLease(t *testing.T, namespace string) func() {
	changeLease(t, namespace, "shop.slot-0", func(l *coordinationv1.Lease) { delete(l.Annotations, "pac-lease-queue.dev/run-uid") })
	return nil
}

func deleteHold(t *testing.T, _ string) func() {
	policies := cluster.Kubernetes().AdmissionregistrationV1().MutatingAdmissionPolicies()
	hold, err := policies.Get(t.Context(), release+"-hold", metav1.GetOptions{})
	must(t, err)
	must(t, policies.Delete(t.Context(), hold.Name, metav1.DeleteOptions{}))
	return func() {
		hold.ResourceVersion, hold.UID = "", ""
		_, err := policies.Create(context.WithoutCancel(t.Context()), hold, metav1.CreateOptions{})
		must(t, err)
	}
}

func unbindGuard(t *testing.T, _ string) func() {
	bindings := cluster.Kubernetes().AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	binding, err := bindings.Get(t.Context(), release+"-guard", metav1.GetOptions{})
	must(t, err)
	must(t, bindings.Delete(t.Context(), binding.Name, metav1.DeleteOptions{}))
	return func() {
		binding.ResourceVersion, binding.UID = "", ""
		_, err := bindings.Create(context.WithoutCancel(t.Context()), binding, metav1.CreateOptions{})
		must(t, err)
	}
}

func takePatch(t *testing.T, _ string) func() {
	roles := cluster.Kubernetes().RbacV1().ClusterRoles()
	set := func(change func(*rbacv1.ClusterRole)) *rbacv1.ClusterRole {
		ctx := context.WithoutCancel(t.Context())
		role, err := roles.Get(ctx, release, metav1.GetOptions{})
		must(t, err)
		before := role.DeepCopy()
		change(role)
		_, err = roles.Update(ctx, role, metav1.UpdateOptions{})
		must(t, err)
		return before
	}
	before := set(func(role *rbacv1.ClusterRole) {
		for i, rule := range role.Rules {
			if slices.Contains(rule.Resources, "pipelineruns") {
				role.Rules[i].Verbs = slices.DeleteFunc(rule.Verbs, func(verb string) bool { return verb == "patch" })
			}
		}
	})
	return func() { set(func(role *rbacv1.ClusterRole) { role.Rules = before.Rules }) }
}

func setConfigMap(t *testing.T, namespace, name, key, value string) func() {
	t.Helper()
	set := func(value string) (was string) {
		ctx := context.WithoutCancel(t.Context())
		client := cluster.Kubernetes().CoreV1().ConfigMaps(namespace)
		cm, err := client.Get(ctx, name, metav1.GetOptions{})
		must(t, err)
		was, cm.Data[key] = cm.Data[key], value
		_, err = client.Update(ctx, cm, metav1.UpdateOptions{})
		must(t, err)
		return was
	}
	was := set(value)
	return func() { set(was) }
}

func oldPAC(t *testing.T, _ string) func() {
	return setConfigMap(t, stack.PACNamespace, pacInfo, "version", "v0.27.0")
}

func badConfig(t *testing.T, _ string) func() {
	return setConfigMap(t, addon.Namespace(), release+"-config", "claim-ttl", "soon")
}

func installTwice(t *testing.T, _ string) func() {
	root, err := build.Root()
	must(t, err)
	_, err = cluster.Helm(t.Context(), "install", "other", filepath.Join(root, "charts", release), "--namespace", "other", "--create-namespace")
	must(t, err)
	return func() {
		_, err := cluster.Helm(context.WithoutCancel(t.Context()), "uninstall", "other", "--namespace", "other", "--no-hooks")
		must(t, err)
	}
}

func skewLeader(t *testing.T, _ string) func() {
	leases, err := cluster.Kubernetes().CoordinationV1().Leases(addon.Namespace()).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, l := range leases.Items {
		if ptr.Deref(l.Spec.HolderIdentity, "") != "" {
			changeLease(t, l.Namespace, l.Name, func(l *coordinationv1.Lease) {
				l.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(2 * time.Minute)}
			})
		}
	}
	return nil
}

// refuseStart has a policy that refuses what clears Pending of one run, and frees the
// slot.
func refuseStart(t *testing.T, namespace string) func() {
	ctx, client := context.WithoutCancel(t.Context()), cluster.Kubernetes().AdmissionregistrationV1()
	const name = "nothing-starts"
	match := &admissionregistrationv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}}
	_, err := client.ValidatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{"tekton.dev"}, APIVersions: []string{"v1"}, Resources: []string{"pipelineruns"}},
				},
			}}},
			Validations: []admissionregistrationv1.Validation{{
				Expression: "object.metadata.name != 'stuck' || object.?spec.?status.orValue('') == 'PipelineRunPending'", Message: "denied by the test",
			}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, MatchResources: match, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	push(t, namespace, "stuck")
	eventually(t, "the policy is enforced", func() error {
		_, err := tekton.TektonV1().PipelineRuns(namespace).Patch(ctx, "stuck", "application/merge-patch+json", []byte(`{"spec":{"status":"Cancelled"}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errors.New("it is not refused")
		}
		return nil
	})
	must(t, tekton.TektonV1().PipelineRuns(namespace).Delete(ctx, "build", metav1.DeleteOptions{}))
	return func() {
		must(t, client.ValidatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{}))
		must(t, client.ValidatingAdmissionPolicies().Delete(ctx, name, metav1.DeleteOptions{}))
	}
}
