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
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/doctor"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
)

const (
	release = "pac-lease-queue" // also the name of its namespace, Deployment and ClusterRole
	pacInfo = "pipelines-as-code-info"
	settle  = "500ms"
)

// examine runs doctor on all namespaces.
func examine(t *testing.T, flags ...string) (doctor.Report, error) {
	t.Helper()
	out, _, failed := command(t, stack.Admin, append([]string{"doctor", "--settle", settle, "-o", "json"}, flags...)...)
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("doctor printed %q: %v, %v", out, err, failed)
	}
	return report, failed
}

// fault is a fault of a cluster that is otherwise healthy.
type fault struct {
	name string
	// down stops the replica meanwhile, because it would repair the fault.
	down  bool
	make  func(t *testing.T, namespace string) (undo func())
	check string
	// what and do are parts of the finding's texts.
	what, do string
	// also names other checks that rightly find something.
	also []string
}

func TestDoctorFindsEachFault(t *testing.T) {
	faults := []fault{
		{
			name: "Lease deleted", down: true, make: deleteLease,
			check: "slots", what: "was deleted while build runs in that slot", do: "A working replica repairs it",
		},
		{
			name: "Lease edited", down: true, make: editLease,
			check: "slots", what: "names build without its UID", do: "A working replica repairs it",
		},
		{name: "policy missing", make: deleteHold, check: "hold", what: "There is no hold", do: "helm upgrade"},
		{name: "guard off", make: unbindGuard, check: "guard", what: "no binding enforces it", do: "helm upgrade"},
		{
			name: "RBAC missing a verb", make: takePatch,
			check: "rights", what: "patch pipelineruns.tekton.dev in all namespaces", do: "helm upgrade",
		},
		{
			name: "PAC too old", make: oldPAC,
			check: "Pipelines-as-Code", what: "0.27.0 is too old", do: "Upgrade Pipelines-as-Code",
		},
		{
			name: "config invalid", make: badConfig,
			check: "configuration", what: `claim-ttl: "soon" is not a duration`, do: "helm rollback",
		},
		{
			name: "two installs", make: installTwice,
			check: "two installations", what: "work on the queues of namespace ", do: "helm uninstall other",
			also: []string{"replicas", "leader", "hold", "guard"},
		},
		{name: "clock skew", down: true, make: skewLeader, check: "clocks", what: "ahead of the API server's", do: "NTP"},
		{name: "refused start", make: refuseStart, check: "runs", what: "denied by the test", do: "let the update through"},
	}
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			namespace := fmt.Sprintf("fault-%d", i)
			site.NewQueue(t, namespace, 1)
			site.Push(t, namespace, "build")
			site.AwaitStart(t, namespace, "build")
			healthy(t)
			if f.down {
				replica := site.Addon.Replicas()[0]
				fixture.Must(t, replica.Kill())
				t.Cleanup(func() { fixture.Must(t, replica.Restart(context.WithoutCancel(t.Context()))) })
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
			text, _, _ := command(t, stack.Admin, "doctor", "--settle", settle)
			t.Logf("doctor says:\n%s", text)
		})
	}
}

// healthy waits until doctor prints nothing but one line.
func healthy(t *testing.T) {
	t.Helper()
	eventually(t, "the cluster is healthy", func() error {
		out, _, err := command(t, stack.Admin, "doctor", "--settle", settle)
		if err == nil && (strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "Nothing is wrong: ")) {
			err = errors.New("more than one line")
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// doctor --fix restores a Lease that can no longer be read as a slot, whatever it lost.
func TestDoctorRestoresSlots(t *testing.T) {
	site.Needed(t)
	replica := site.Addon.Replicas()[0]
	for name, take := range map[string]func(*coordinationv1.Lease){
		"labels":     func(l *coordinationv1.Lease) { l.Labels = nil },
		"annotation": func(l *coordinationv1.Lease) { delete(l.Annotations, "pac-lease-queue.dev/repository") },
	} {
		t.Run(name, func(t *testing.T) {
			namespace := "fixed-" + name
			site.NewQueue(t, namespace, 1)
			site.Push(t, namespace, "build")
			site.AwaitStart(t, namespace, "build")
			fixture.Must(t, replica.Kill())
			t.Cleanup(func() { fixture.Must(t, replica.Restart(context.WithoutCancel(t.Context()))) })
			before := changeLease(t, namespace, "shop.slot-0", take)
			report, err := examine(t)
			if err == nil || len(report.Findings) != 1 || report.Findings[0].Repair == nil {
				t.Fatalf("doctor found %+v, %v", report.Findings, err)
			}
			if report, err = examine(t, "--fix"); err != nil || report.Findings[0].Repair.Outcome != "done" {
				t.Errorf("doctor --fix: %v, %+v", err, report.Findings)
			}
			after, err := site.Kube.CoordinationV1().Leases(namespace).Get(t.Context(), "shop.slot-0", metav1.GetOptions{})
			fixture.Must(t, err)
			key, slot, readable := lease.Decode(after)
			if !readable || key.Repository != "shop" || slot.Holder == nil || slot.Holder.Name != *before.Spec.HolderIdentity {
				t.Errorf("the Lease is not restored: %+v", after)
			}
			if report, err := examine(t); err != nil {
				t.Errorf("afterwards doctor finds %+v, %v", report.Findings, err)
			}
		})
	}
}

// doctor lists what it could not check for a user who may read only the objects of queues.
func TestDoctorListsWhatItMayNotRead(t *testing.T) {
	site.NewQueue(t, "unseen", 1)
	out, _, _ := command(t, stack.Developer, "doctor", "--settle", settle, "--namespace", "unseen")
	for _, want := range []string{"You may not list Deployments", "The hold: "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in the output of doctor:\n%s", want, out)
		}
	}
}

// doctor checks exactly the rights that the chart grants.
func TestRightsAreTheCharts(t *testing.T) {
	site.Needed(t)
	reader := inspect.Clients{Kube: site.Kube, Tekton: site.Tekton, PAC: site.PAC}
	reading, err := inspect.Read(t.Context(), reader, inspect.Scope{})
	fixture.Must(t, err)
	if len(reading.Installations) != 1 {
		t.Fatalf("doctor found %d installations, want 1", len(reading.Installations))
	}
	checked := map[string]bool{}
	for _, r := range doctor.RightsOf(reading.Installations[0]) {
		checked[strings.TrimSpace(fmt.Sprint(r.Verb, " ", r.Group, "/", r.Resource, " ", r.Name))] = true
	}
	everywhere, err := site.Kube.RbacV1().ClusterRoles().Get(t.Context(), release, metav1.GetOptions{})
	fixture.Must(t, err)
	own, err := site.Kube.RbacV1().Roles(site.Addon.Namespace()).Get(t.Context(), release, metav1.GetOptions{})
	fixture.Must(t, err)
	granted := map[string]bool{}
	for _, rule := range slices.Concat(everywhere.Rules, own.Rules) {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				right := fmt.Sprint(verb, " ", rule.APIGroups[0], "/", resource, " ", strings.Join(rule.ResourceNames, ","))
				granted[strings.TrimSpace(right)] = true
			}
		}
	}
	if diff := cmp.Diff(granted, checked); diff != "" {
		t.Errorf("rights (-chart +doctor):\n%s", diff)
	}
}

func changeLease(t *testing.T, namespace, name string, change func(*coordinationv1.Lease)) *coordinationv1.Lease {
	t.Helper()
	leases := site.Kube.CoordinationV1().Leases(namespace)
	l, err := leases.Get(t.Context(), name, metav1.GetOptions{})
	fixture.Must(t, err)
	before := l.DeepCopy()
	change(l)
	_, err = leases.Update(t.Context(), l, metav1.UpdateOptions{})
	fixture.Must(t, err)
	return before
}

func deleteLease(t *testing.T, namespace string) func() {
	fixture.Must(t, site.Kube.CoordinationV1().Leases(namespace).Delete(t.Context(), "shop.slot-0", metav1.DeleteOptions{}))
	return nil
}

func editLease(t *testing.T, namespace string) func() {
	changeLease(t, namespace, "shop.slot-0", func(l *coordinationv1.Lease) { delete(l.Annotations, "pac-lease-queue.dev/run-uid") })
	return nil
}

func deleteHold(t *testing.T, _ string) func() {
	policies := site.Kube.AdmissionregistrationV1().MutatingAdmissionPolicies()
	hold, err := policies.Get(t.Context(), release+"-hold", metav1.GetOptions{})
	fixture.Must(t, err)
	fixture.Must(t, policies.Delete(t.Context(), hold.Name, metav1.DeleteOptions{}))
	return func() {
		hold.ResourceVersion, hold.UID = "", ""
		_, err := policies.Create(context.WithoutCancel(t.Context()), hold, metav1.CreateOptions{})
		fixture.Must(t, err)
	}
}

func unbindGuard(t *testing.T, _ string) func() {
	bindings := site.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	binding, err := bindings.Get(t.Context(), release+"-guard", metav1.GetOptions{})
	fixture.Must(t, err)
	fixture.Must(t, bindings.Delete(t.Context(), binding.Name, metav1.DeleteOptions{}))
	return func() {
		binding.ResourceVersion, binding.UID = "", ""
		_, err := bindings.Create(context.WithoutCancel(t.Context()), binding, metav1.CreateOptions{})
		fixture.Must(t, err)
	}
}

func takePatch(t *testing.T, _ string) func() {
	roles := site.Kube.RbacV1().ClusterRoles()
	set := func(change func(*rbacv1.ClusterRole)) *rbacv1.ClusterRole {
		ctx := context.WithoutCancel(t.Context())
		role, err := roles.Get(ctx, release, metav1.GetOptions{})
		fixture.Must(t, err)
		before := role.DeepCopy()
		change(role)
		_, err = roles.Update(ctx, role, metav1.UpdateOptions{})
		fixture.Must(t, err)
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
		client := site.Kube.CoreV1().ConfigMaps(namespace)
		cm, err := client.Get(ctx, name, metav1.GetOptions{})
		fixture.Must(t, err)
		was, cm.Data[key] = cm.Data[key], value
		_, err = client.Update(ctx, cm, metav1.UpdateOptions{})
		fixture.Must(t, err)
		return was
	}
	was := set(value)
	return func() { set(was) }
}

func oldPAC(t *testing.T, _ string) func() {
	return setConfigMap(t, stack.PACNamespace, pacInfo, "version", "v0.27.0")
}

func badConfig(t *testing.T, _ string) func() {
	return setConfigMap(t, site.Addon.Namespace(), release+"-config", "claim-ttl", "soon")
}

// installTwice installs a release that has rights in one namespace only. The chart does not look
// any further for such a release, and so does not refuse it.
func installTwice(t *testing.T, namespace string) func() {
	root, err := build.Root()
	fixture.Must(t, err)
	chart := filepath.Join(root, "charts", release)
	_, err = site.Helm(t.Context(), "install", "other", chart, "--namespace", "other", "--create-namespace",
		"--set", "watchNamespaces={"+namespace+"}", "--set", "admission.hold=none", "--set", "admission.guard.enabled=false")
	fixture.Must(t, err)
	return func() {
		_, err := site.Helm(context.WithoutCancel(t.Context()), "uninstall", "other", "--namespace", "other", "--no-hooks")
		fixture.Must(t, err)
	}
}

func skewLeader(t *testing.T, _ string) func() {
	leases, err := site.Kube.CoordinationV1().Leases(site.Addon.Namespace()).List(t.Context(), metav1.ListOptions{})
	fixture.Must(t, err)
	for _, l := range leases.Items {
		if ptr.Deref(l.Spec.HolderIdentity, "") != "" {
			changeLease(t, l.Namespace, l.Name, func(l *coordinationv1.Lease) {
				l.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(2 * time.Minute)}
			})
		}
	}
	return nil
}

// refuseStart lets a policy refuse the start of one run, and frees the slot for it.
func refuseStart(t *testing.T, namespace string) func() {
	ctx, runs := context.WithoutCancel(t.Context()), site.Tekton.TektonV1().PipelineRuns(namespace)
	lift, err := site.RefuseUpdates(ctx, namespace,
		"object.metadata.name != 'stuck' || object.?spec.?status.orValue('') == 'PipelineRunPending'")
	fixture.Must(t, err)
	site.Push(t, namespace, "stuck")
	eventually(t, "the policy is enforced", func() error {
		_, err := runs.Patch(ctx, "stuck", types.MergePatchType, []byte(`{"spec":{"status":"Cancelled"}}`),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errors.New("the update is not refused")
		}
		return nil
	})
	fixture.Must(t, runs.Delete(ctx, "build", metav1.DeleteOptions{}))
	return func() { fixture.Must(t, lift(ctx)) }
}
