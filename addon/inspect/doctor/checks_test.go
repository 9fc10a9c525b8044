package doctor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/tested"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func installation(namespace, watch string) inspect.Installation {
	i := inspect.Installation{Config: config.Defaults()}
	i.Deployment = appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "queue",
			Labels: map[string]string{"app.kubernetes.io/instance": namespace},
		},
		Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2},
	}
	i.Environment, _ = config.ReadEnvironment(func(name string) string {
		return map[string]string{config.EnvNamespace: namespace, config.EnvWatched: watch}[name]
	})
	return i
}

func renewed(at time.Time) coordinationv1.Lease {
	return coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{
		HolderIdentity: new("pod-0"), RenewTime: &metav1.MicroTime{Time: at}, LeaseDurationSeconds: new(int32(15)),
	}}
}

// well is a cluster in which nothing is wrong, with a run in a slot.
func well() *Facts {
	i := installation("add-on", "")
	there := map[string][]Policy{"add-on": {{Kind: "Policy", Name: "p-hold"}, {Kind: "Policy", Name: "p-guard"}}}
	q := inspect.Queue{Config: i.Config}
	run := queue.Run{Name: "build", UID: "u", Phase: queue.Started, Claim: &queue.Token{Slot: 0, Transition: 1}}
	q.Snapshot = queue.Snapshot{
		Key: queue.Key{Namespace: "ci", Repository: "shop"}, Limit: 1, Runs: []*queue.Run{&run},
		Slots: []queue.Slot{{Index: 0, Version: "1", Holder: &queue.Holder{Name: "build", UID: "u"}, Transition: 1}},
	}
	f := &Facts{
		Now: noon, Installations: []inspect.Installation{i}, Queues: []inspect.Queue{q},
		Leaders: map[string][]coordinationv1.Lease{i.Name(): {renewed(noon)}}, Admission: &Admission{Holds: there, Guards: there},
		Missing: map[string][]Right{}, PAC: map[string]PAC{"pipelines-as-code": {true, "v0.50.0", "its ConfigMap"}},
	}
	restand(f)
	return f
}

func restand(f *Facts) {
	q := &f.Queues[0]
	q.Standings = queue.Stand(q.Snapshot, f.Now, q.Config.Policy)
}

// besideKueue has the run in the slot wait for Kueue.
func besideKueue(f *Facts) {
	f.Kueue, f.NoAccount = true, map[string][]string{}
	run := f.Queues[0].Snapshot.Runs[0]
	run.Kueue = queue.Kueue{Queue: "team", Admits: true, Passed: true}
	f.Queues[0].Acquired = map[int]time.Time{0: f.Now.Add(-time.Minute)}
}

func TestChecks(t *testing.T) {
	for name, c := range map[string]struct {
		wrong func(*Facts)
		want  []string // check: a part of what is said
	}{
		"nothing":       {func(*Facts) {}, nil},
		"not installed": {func(f *Facts) { f.Installations = nil }, []string{"installation: no replica starts"}},
		"removed without a hand-back": {func(f *Facts) {
			f.Installations = nil
			f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs,
				&queue.Run{Name: "test", UID: "t", Phase: queue.Pending, Order: &queue.Order{Held: true}})
		}, []string{"installation: It was removed without its hand-back, which Argo CD before 3.3 leaves out: " +
			"Pipelines-as-Code does not see the order of what is held (1 run), and starts none of it."}},
		"two": {func(f *Facts) {
			f.Installations = append(f.Installations, installation("add-on", "ci"))
		}, []string{"two installations: namespace ci"}},
		"two that do not meet": {func(f *Facts) {
			f.Installations = []inspect.Installation{installation("add-on", "ci"), installation("add-on", "qa")}
		}, nil},
		"three": {func(f *Facts) {
			newer, other := installation("newer", ""), installation("other", "qa")
			newer.Deployment.CreationTimestamp = metav1.NewTime(noon)
			f.Installations = []inspect.Installation{newer, f.Installations[0], other}
			f.Admission = nil
		}, []string{"two installations: all namespaces", "two installations: namespace qa", "two installations: namespace qa"}},
		"not its namespace": {func(f *Facts) {
			f.Installations[0] = installation("add-on", "qa")
			f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs,
				&queue.Run{Name: "test", UID: "t", Phase: queue.Pending, Order: &queue.Order{}})
		}, nil},
		"not its namespace any more": {func(f *Facts) {
			f.Installations[0] = installation("add-on", "qa")
			f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs,
				&queue.Run{Name: "test", UID: "t", Phase: queue.Pending, Order: &queue.Order{Held: true}})
		}, []string{"runs: No installation works on its queues"}},
		"environment": {func(f *Facts) {
			f.Installations[0].EnvironmentErr = errors.New("PROBES_PORT is wrong")
		}, []string{"configuration: PROBES_PORT is wrong"}},
		"a setting that cannot be used": {func(f *Facts) {
			f.Installations[0].ConfigErr = errors.New("claim-ttl is wrong")
		}, []string{"configuration: start use the default in its place.\nclaim-ttl is wrong"}},
		"a setting that keeps replicas from starting": {func(f *Facts) {
			f.Installations[0].ConfigErr = errors.New("backend is wrong")
			f.Installations[0].VitalErr = f.Installations[0].ConfigErr
		}, []string{"configuration: start wait for a usable one.\nbackend is wrong"}},
		"unknown settings": {func(f *Facts) {
			f.Installations[0].Unknown = []string{"claim_ttl", "of-a-newer-chart"}
		}, []string{"configuration: have no effect: claim_ttl, of-a-newer-chart."}},
		"hand-back": {func(f *Facts) {
			f.Installations[0].Config.HandBack = true
			f.Queues[0].Config.HandBack, f.Admission = true, &Admission{}
		}, []string{"configuration: hand-back is on"}},
		"a run without the secret that it needs": {func(f *Facts) {
			f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs, &queue.Run{
				Name: "test", UID: "t", Order: &queue.Order{}, Owed: "its git secret", Needs: true, Created: noon.Add(-time.Minute),
			})
		}, []string{"runs: It is not started without its git secret, which Pipelines-as-Code has not made."}},
		"a run that was started without its check run": {func(f *Facts) {
			f.Queues[0].Snapshot.Runs[0].Owed, f.Queues[0].Snapshot.Runs[0].Created = "its check run", noon.Add(-time.Minute)
		}, []string{"runs: It was started without its check run"}},
		"a run that another controller does not begin with": {func(f *Facts) {
			f.Queues[0].Snapshot.Slots[0].HeldSince = noon.Add(-time.Minute)
			f.Queues[0].Snapshot.Runs[0].Manager, f.Queues[0].Snapshot.Runs[0].Claim = "example.com/other", nil
		}, []string{"runs: It is started, but example.com/other, which its spec.managedBy names, has not begun with it."}},
		"runs that cannot be reported": {func(f *Facts) {
			for age, name := range map[time.Duration]string{5 * time.Minute: "fresh", 6 * time.Minute: "old", time.Hour: "older"} {
				f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs, &queue.Run{
					Name: name, UID: name, Phase: queue.Done, Ended: noon.Add(-age),
				})
			}
		}, []string{"reports: Pipelines-as-Code has not reported the end of 2 runs, more than 5m after it: old for one."}},
		"a slot that may be kept for pods": {func(f *Facts) {
			f.Installations[0].Environment.Release = config.ReleasePerQueue
			f.Queues[0].Snapshot.Spec.Release = queue.ReleaseWhenPodsGone
			f.Queues[0].Snapshot.Runs[0].Phase = queue.Done
		}, []string{"slots: It may be kept for pods of that run"}},
		"a controller of PAC whose settings are not read": {func(f *Facts) {
			f.Queues[0].UnreadSettings = "ghe-configmap"
			f.Queues = append(f.Queues, f.Queues[0])
		}, []string{"settings of Pipelines-as-Code: made runs of Repository ci/shop, but the replicas do not read it"}},
		"no replicas": {
			func(f *Facts) { f.Installations[0].Deployment.Spec.Replicas = new(int32(0)) },
			[]string{"replicas: scaled to zero replicas"},
		},
		"one replica": {func(f *Facts) { f.Installations[0].Deployment.Status.ReadyReplicas = 1 }, []string{"replicas: 1 of 2"}},
		"no leader": {
			func(f *Facts) { f.Leaders["add-on/queue"][0] = renewed(noon.Add(-time.Minute)) },
			[]string{"leader: No replica leads"},
		},
		"replica ahead": {
			func(f *Facts) { f.Leaders["add-on/queue"][0] = renewed(noon.Add(time.Minute)) },
			[]string{"clocks: 60s ahead of the API server's"},
		},
		"this machine ahead": {
			func(f *Facts) { f.ServerAhead = -2 * time.Minute },
			[]string{"clocks: 2m ahead of the API server's: other"},
		},
		"unbound": {func(f *Facts) {
			f.Admission.Guards = map[string][]Policy{"add-on": {{"Policy", "p-guard", "no binding enforces it"}}}
		}, []string{"guard: no binding enforces it"}},
		"slots not guarded, and no guard of runs": {func(f *Facts) {
			f.Admission.Guards = map[string][]Policy{"add-on": {{"Policy", "p-guard-leases", "no binding enforces it"}}}
		}, []string{"guard: There is no guard", "guard: Any user who may edit Leases can take, free or hide slots"}},
		"admission off": {
			func(f *Facts) { f.Admission = &Admission{} },
			[]string{"hold: There is no hold", "guard: There is no guard"},
		},
		"before Kubernetes 1.30": {func(f *Facts) { f.Admission.Guards, f.Admission.Unguarded = nil, true }, nil},
		"admission dark":         {func(f *Facts) { f.Admission = nil }, nil},
		"rights": {func(f *Facts) {
			f.Missing["add-on/queue"] = []Right{{
				"patch", "tekton.dev", "pipelineruns", "",
				"",
			}}
		}, []string{"rights: patch pipelineruns.tekton.dev in all namespaces"}},
		"PAC old": {
			func(f *Facts) { f.PAC["pipelines-as-code"] = PAC{true, "v0.36.9", "its ConfigMap"} },
			[]string{"Pipelines-as-Code: too old"},
		},
		"PAC untested": {
			func(f *Facts) { f.PAC["pipelines-as-code"] = PAC{true, "v0.37.0", "its ConfigMap"} },
			[]string{"versions: Pipelines-as-Code v0.37.0 was not tested."},
		},
		"PAC newer": {
			func(f *Facts) { f.PAC["pipelines-as-code"] = PAC{true, "1.0.0-rc1", "its ConfigMap"} },
			[]string{"versions: Pipelines-as-Code 1.0.0-rc1 was not tested."},
		},
		"versions that were tested": {func(f *Facts) {
			f.Versions = []Version{{tested.Kubernetes, "v1.36.1+rke2r1", ""}, {tested.Tekton, "v1.15.9", ""}, {tested.Tekton, "devel", ""}}
		}, nil},
		"versions that were not tested": {func(f *Facts) {
			f.Versions = []Version{{tested.Kubernetes, "v1.28.0", "the API server"}, {tested.Tekton, "v1.99.0", "its ConfigMap"}}
		}, []string{"versions: Kubernetes v1.28.0 was not tested.", "versions: Tekton Pipelines v1.99.0 was not tested."}},
		"PAC unknown":   {func(f *Facts) { f.PAC["pipelines-as-code"] = PAC{Found: true} }, nil},
		"PAC nowhere":   {func(f *Facts) { f.PAC["pipelines-as-code"] = PAC{} }, []string{"Pipelines-as-Code: is not there"}},
		"Lease deleted": {func(f *Facts) { f.Queues[0].Snapshot.Slots = nil }, []string{"slots: was deleted"}},
		"Lease emptied": {func(f *Facts) { f.Queues[0].Snapshot.Slots[0].Holder = nil }, []string{"slots: names no run"}},
		"Lease renamed": {func(f *Facts) {
			f.Queues[0].Snapshot.Slots[0].Holder = &queue.Holder{Name: "other", UID: "o"}
		}, []string{"slots: there is no such run", "slots: names other while build"}},
		"Lease broken": {func(f *Facts) {
			f.Queues[0].Snapshot.Slots[0] = queue.Slot{Version: "1", Damaged: "no UID"}
		}, []string{"slots: no UID"}},
		"Lease unlabelled": {func(f *Facts) {
			f.Queues[0].Snapshot.Slots = nil
			owned := metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository", Name: "shop",
			}}}
			f.Strays = map[string]coordinationv1.Lease{"ci/shop.slot-0": {ObjectMeta: owned}}
		}, []string{"slots: without the labels"}},
		"Lease in the way": {func(f *Facts) {
			f.Queues[0].Snapshot.Slots = nil
			f.Strays = map[string]coordinationv1.Lease{"ci/shop.slot-0": {}}
		}, []string{"slots: is not one"}},
		// It costs nothing: no check goes through all slots that may exist.
		"a limit without bounds": {func(f *Facts) { f.Queues[0].Snapshot.Limit = 1 << 40 }, nil},
		"in memory": {func(f *Facts) {
			f.Queues[0].Config.Backend, f.Queues[0].Snapshot.Slots = store.Memory, nil
		}, nil},
		"run over": {func(f *Facts) { f.Queues[0].Snapshot.Runs[0].Phase = queue.Done }, []string{"slots: is done"}},
		"refused": {func(f *Facts) {
			f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs,
				&queue.Run{
					Name: "test", UID: "t", Phase: queue.Pending, Order: &queue.Order{}, Attempt: 2,
					NotBefore: noon.Add(time.Minute),
				})
			f.Queues[0].Refusals = map[string]string{"t": "denied by policy"}
		}, []string{"runs: denied by policy"}},
		"refused before, and in line again": {func(f *Facts) {
			f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs,
				&queue.Run{Name: "test", UID: "t", Phase: queue.Pending, Order: &queue.Order{}, Attempt: 2})
			f.Queues[0].Refusals = map[string]string{"t": "denied by policy"}
		}, nil},
		"beside Kueue": {besideKueue, nil},
		"beside Kueue, without its account": {func(f *Facts) {
			besideKueue(f)
			f.NoAccount[f.Installations[0].Name()] = []string{f.Installations[0].Config.KueueAccounts}
		}, []string{"Kueue: none of the accounts by which it may start them exists: " +
			"system:serviceaccount:tekton-kueue:tekton-kueue-controller-manager. The guard refuses every other account"}},
		"beside Kueue, with one of its accounts": {func(f *Facts) {
			besideKueue(f)
			f.Installations[0].Config.KueueAccounts += ",somebody"
			f.NoAccount[f.Installations[0].Name()] = []string{config.Defaults().KueueAccounts}
		}, nil},
		"beside Kueue, without a run for it": {func(f *Facts) {
			f.Kueue = true
			f.NoAccount = map[string][]string{f.Installations[0].Name(): {f.Installations[0].Config.KueueAccounts}}
		}, nil},
		"beside Kueue, which may start nothing": {func(f *Facts) {
			besideKueue(f)
			f.Installations[0].Config.KueueAccounts = ""
		}, []string{"Kueue: but kueue.accounts is empty: they are started without Kueue's admission"}},
		"beside Kueue, in another's namespace": {func(f *Facts) {
			besideKueue(f)
			f.Installations[0] = installation("add-on", "qa")
			f.Installations[0].Config.KueueAccounts = ""
		}, nil},
		"waits for Kueue for long": {func(f *Facts) {
			besideKueue(f)
			f.Queues[0].Acquired[0] = f.Now.Add(-time.Hour)
		}, []string{"runs: It has had slot 0 for 1h00m, and waits for Kueue to admit it (its queue team)."}},
		"its Lease is refused": {func(f *Facts) {
			f.Queues[0].Snapshot.Limit = 2
			run := queue.Run{Name: "test", UID: "t", Phase: queue.Pending, Order: &queue.Order{}}
			f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs, &run)
			f.Queues[0].Refusals = map[string]string{
				"t": event.SlotRefused(f.Queues[0].Key(), queue.Claim{Run: run}, "exceeded quota: few").Message,
			}
		}, []string{"runs: the API server refuses its Lease: exceeded quota: few"}},
		"no replica starts it": {func(f *Facts) {
			f.Queues[0].Snapshot.Limit = 2
			f.Queues[0].Snapshot.Runs = append(f.Queues[0].Snapshot.Runs,
				&queue.Run{Name: "test", UID: "t", Phase: queue.Pending, Order: &queue.Order{}})
		}, []string{"runs: no replica starts it"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := well()
			c.wrong(f)
			restand(f)
			found := examine(f)
			for i, want := range c.want {
				check, what, _ := strings.Cut(want, ": ")
				if i >= len(found) || found[i].Check != check || !strings.Contains(found[i].What, what) {
					t.Errorf("want %q", want)
				}
			}
			if len(found) != len(c.want) {
				t.Errorf("found %d", len(found))
			}
			for _, f := range found {
				if f.Warning != (f.Check == "versions" || f.Check == "reports") {
					t.Errorf("a warning: %t, of %s", f.Warning, f.Check)
				}
				if f.Where == "" || f.What == "" || f.Do == "" {
					t.Errorf("an empty word: %+v", f)
				}
				if t.Failed() {
					t.Logf("%s: %s", f.Check, f.What)
				}
			}
		})
	}
}

func TestStayed(t *testing.T) {
	passing := func(where string) Finding { return Finding{Where: where, passing: true} }
	lasting := func(where string) Finding { return Finding{Where: where} }
	got := []string{}
	for _, f := range stayed([]Finding{passing("both"), lasting("gone")},
		[]Finding{passing("both"), passing("new"), lasting("new, lasting")}) {
		got = append(got, f.Where)
	}
	if diff := cmp.Diff([]string{"both", "new, lasting"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrint(t *testing.T) {
	var out strings.Builder
	r := Report{Summary: "1 queue"}
	if err := r.Print(&out); err != nil || out.String() != "Nothing is wrong: 1 queue.\n" || r.Err() != nil {
		t.Errorf("%q, %v, %v", out.String(), err, r.Err())
	}
	r.Findings = []Finding{{Check: "slots", Where: "Lease ci/a", What: "Is\nwrong.", Do: "Mend it.", Repair: &Repair{What: "mend it"}}}
	out.Reset()
	want := "WRONG  slots: Lease ci/a\n       Is\n       wrong.\n    ➜  Mend it.\n       --fix would mend it.\n\nExamined 1 queue.\n"
	if err := r.Print(&out); err != nil || out.String() != want || r.Err() == nil {
		t.Errorf("%q, %v, %v", out.String(), err, r.Err())
	}
	r.Findings[0].Repair.done = true
	if r.Err() != nil {
		t.Error(r.Err())
	}
	r.Findings = []Finding{{Check: "versions", Where: "the API server", What: "New.", Do: "Nothing.", Warning: true}}
	out.Reset()
	want = "warn   versions: the API server\n       New.\n    ➜  Nothing.\n\nNothing is wrong: 1 queue.\n"
	if err := r.Print(&out); err != nil || out.String() != want || r.Err() != nil {
		t.Errorf("%q, %v, %v", out.String(), err, r.Err())
	}
}
