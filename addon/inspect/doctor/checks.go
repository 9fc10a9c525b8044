package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/tested"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

const (
	// oldestPAC is the oldest Pipelines-as-Code that reports a run which it did not start.
	oldestPAC = "0.37.0"
	// clocksDiffer is by how much clocks may differ: the API server's is known to a second.
	clocksDiffer = 5 * time.Second
	// renewedLate is by how much a Lease may seem to be renewed too late, as clocks differ.
	renewedLate = 30 * time.Second
	// startWithin is how long a start may take in normal operation.
	startWithin = 5 * time.Second

	upgrade = "helm upgrade %s charts/pac-lease-queue --namespace %s --reset-then-reuse-values"
)

// checks in the order in which an operator would look: what explains the rest comes first.
var checks = []struct {
	name string
	look func(*Facts) []Finding
}{
	{"installation", installed},
	{"two installations", twice},
	{"configuration", configured},
	{"replicas", replicas},
	{"leader", leader},
	{"rights", rights},
	{"hold", hold},
	{"guard", guard},
	{"Kueue", kueue},
	{"Pipelines-as-Code", pacVersion},
	{"versions", untested},
	{"settings of Pipelines-as-Code", pacSettings},
	{"clocks", clocks},
	{"slots", slots},
	{"runs", runs},
	{"reports", unreported},
}

// examine goes through all checks.
func examine(f *Facts) []Finding {
	var all []Finding
	for _, c := range checks {
		for _, found := range c.look(f) {
			found.Check = c.name
			all = append(all, found)
		}
	}
	return all
}

func helmUpgrade(i inspect.Installation) string {
	return fmt.Sprintf(upgrade, release(&i.Deployment), i.Deployment.Namespace)
}

func installed(f *Facts) []Finding {
	if len(f.Installations) > 0 || f.Hidden {
		return nil
	}
	what := "pac-lease-queue is not installed, or not where doctor looked: no replica starts the runs in its queues."
	held := 0
	for _, q := range f.Queues {
		for _, is := range q.Runs {
			if is.Run.Phase == queue.Pending && is.Run.Held() {
				held++
			}
		}
	}
	if held > 0 {
		what += fmt.Sprintf(" It was removed without its hand-back, which Argo CD before 3.3 leaves out: Pipelines-as-Code does not see "+
			"the order of what is held (%s), and starts none of it.", plural(held, "run"))
	}
	return []Finding{{
		Where: "this cluster",
		What:  what,
		Do: "Install it: helm install pac-lease-queue charts/pac-lease-queue --namespace pac-lease-queue --create-namespace. " +
			"Or name its namespace with --addon-namespace. It takes over what is held; to remove it, hand that back first " +
			"(handBack=true).",
	}}
}

func twice(f *Facts) []Finding {
	var all []Finding
	for n, a := range f.Installations {
		for _, b := range f.Installations[n+1:] {
			common, overlap := overlap(a, b)
			if !overlap {
				continue
			}
			older, newer := a, b
			if b.Deployment.CreationTimestamp.Before(&a.Deployment.CreationTimestamp) {
				older, newer = b, a
			}
			all = append(all, Finding{
				Where: "Deployments " + older.Name() + " and " + newer.Name(),
				What: "Two installations work on the queues of " + common + ". Each guard refuses the starts of the other's replicas, so " +
					"held runs stand still; each undoes the settings of the other, and uninstalling one removes slots of both.",
				Do: fmt.Sprintf("Uninstall one of them, for example the newer one, without its hand-back: helm uninstall %s "+
					"--namespace %s --no-hooks. "+
					"Or give them different watchNamespaces.", release(&newer.Deployment), newer.Deployment.Namespace),
			})
		}
	}
	return all
}

// overlap says which queues two installations both work on.
func overlap(a, b inspect.Installation) (string, bool) {
	switch one, other := a.Environment.Watched, b.Environment.Watched; {
	case one.All() && other.All():
		return "all namespaces", true
	case one.All():
		return "namespace " + strings.Join(other, ", "), true
	case other.All():
		return "namespace " + strings.Join(one, ", "), true
	default:
		common := slices.DeleteFunc(slices.Clone(one), func(n string) bool { return !other.Contains(n) })
		return "namespace " + strings.Join(common, ", "), len(common) > 0
	}
}

func configured(f *Facts) []Finding {
	var all []Finding
	for _, i := range f.Installations {
		if i.EnvironmentErr != nil {
			all = append(all, Finding{
				Where: "Deployment " + i.Name(),
				What:  "Its replicas do not start: they cannot use their environment variables.\n" + i.EnvironmentErr.Error(),
				Do:    "Correct extraEnv in the values of the chart: " + helmUpgrade(i) + " --set …",
			})
		}
		where := "ConfigMap " + i.Deployment.Namespace + "/" + i.Environment.ConfigMap
		if i.ConfigErr != nil {
			starting := "those that start use the default in its place"
			if i.VitalErr != nil {
				starting = "those that start wait for a usable one"
			}
			all = append(all, Finding{
				Where: where,
				What: "A setting cannot be used. Running replicas keep their old configuration, but hear hand-back; " + starting + ".\n" +
					i.ConfigErr.Error(),
				Do: "Correct it in the values of the chart: " + helmUpgrade(i) + " --set …; or helm rollback if it was right before.",
			})
		}
		if len(i.Unknown) > 0 {
			all = append(all, Finding{
				Where: where, intended: true,
				What: "It has settings that are misspelt or of another version, and have no effect: " + strings.Join(i.Unknown, ", ") + ".",
				Do: fmt.Sprintf("Correct or remove them: kubectl edit configmap -n %s %s", i.Deployment.Namespace,
					i.Environment.ConfigMap),
			})
		}
		if i.Config.HandBack {
			all = append(all, Finding{
				Where: where, intended: true,
				What: "hand-back is on: the queues are being given back to Pipelines-as-Code, and no run is started.",
				Do:   "If that is not intended: " + helmUpgrade(i) + " --set handBack=false",
			})
		}
	}
	return all
}

func replicas(f *Facts) []Finding {
	var all []Finding
	for _, i := range f.Installations {
		d := i.Deployment
		switch want := ptr.Deref(d.Spec.Replicas, 1); {
		case want == 0:
			all = append(all, Finding{
				Where: "Deployment " + i.Name(), What: "It is scaled to zero replicas: no run is started.",
				Do: helmUpgrade(i) + " --set replicaCount=2",
			})
		case d.Status.ReadyReplicas < want:
			all = append(all, Finding{
				Where: "Deployment " + i.Name(), What: fmt.Sprintf("%d of %d replicas are ready.", d.Status.ReadyReplicas, want),
				passing: true,
				Do: fmt.Sprintf("Find out why: kubectl get pods,events -n %s; kubectl logs -n %s deployment/%s", d.Namespace,
					d.Namespace, d.Name),
			})
		}
	}
	return all
}

// leader looks at the Leases of leader election, unless they were not read or the installation
// has no replicas.
func leader(f *Facts) []Finding {
	var all []Finding
	for _, i := range f.Installations {
		d := i.Deployment
		leases, read := f.Leaders[i.Name()]
		held := func(l coordinationv1.Lease) bool { return leads(l.Spec, f.Now) }
		if !read || ptr.Deref(d.Spec.Replicas, 1) == 0 || slices.ContainsFunc(leases, held) {
			continue
		}
		all = append(all, Finding{
			Where: "Leases " + d.Namespace + "/" + config.Component + ".*", passing: true,
			What: "No replica leads: none has renewed its Lease in time. Either none works, or their clocks are behind.",
			Do: fmt.Sprintf("Check whether the replicas run and may write these Leases: kubectl get pods -n %s; "+
				"kubectl logs -n %s deployment/%s", d.Namespace, d.Namespace, d.Name),
		})
	}
	return all
}

// leads says whether a Lease of leader election is held and was renewed in time.
func leads(l coordinationv1.LeaseSpec, now time.Time) bool {
	if ptr.Deref(l.HolderIdentity, "") == "" || l.RenewTime == nil || l.LeaseDurationSeconds == nil {
		return false
	}
	return now.Sub(l.RenewTime.Time) <= time.Duration(*l.LeaseDurationSeconds)*time.Second+renewedLate
}

func rights(f *Facts) []Finding {
	var all []Finding
	for _, i := range f.Installations {
		missing := f.Missing[i.Name()]
		if len(missing) == 0 {
			continue
		}
		var lines []string
		for _, right := range missing {
			lines = append(lines, "  "+right.String())
		}
		all = append(all, Finding{
			Where: "ServiceAccount " + i.Deployment.Namespace + "/" + i.Account(),
			What:  "It lacks rights that the replicas need:\n" + strings.Join(lines, "\n"),
			Do:    "Let helm restore the roles of the chart: " + helmUpgrade(i) + " --force-conflicts",
		})
	}
	return all
}

const (
	withoutHold  = "Pipelines-as-Code's own queue tries to start runs as well, and only the guard keeps it from doing so."
	withoutGuard = "Any user who may edit PipelineRuns can start one past the limit, or change its place."
)

// without says what it means that a policy is not in force, by its name. The guard has policies
// besides the one that it is named after.
func without(name, otherwise string) string {
	switch {
	case strings.HasSuffix(name, "-guard-held"):
		return "Pipelines-as-Code's own queue can start runs beside the limit."
	case strings.HasSuffix(name, "-guard-leases"):
		return "Any user who may edit Leases can take, free or hide slots."
	case strings.Contains(name, "-guard-own-"):
		return "A stolen token of a replica is good for more than a replica does."
	default:
		return otherwise
	}
}

func hold(f *Facts) []Finding {
	return policies(f, "hold", withoutHold, func(a *Admission) map[string][]Policy { return a.Holds })
}

func guard(f *Facts) []Finding {
	if f.Admission != nil && f.Admission.Unguarded {
		return nil // docs/installation.md says what that means
	}
	return policies(f, "guard", withoutGuard, func(a *Admission) map[string][]Policy { return a.Guards })
}

func policies(f *Facts, what, meaning string, of func(*Admission) map[string][]Policy) []Finding {
	if f.Admission == nil {
		return nil
	}
	var all []Finding
	for _, i := range f.Installations {
		if i.Config.HandBack {
			continue
		}
		there, finding := of(f.Admission)[release(&i.Deployment)], Finding{
			Where: "release " + release(&i.Deployment) + " in namespace " + i.Deployment.Namespace,
			Do:    "Let helm restore it: " + helmUpgrade(i) + " --force-conflicts",
		}
		setting := map[string]string{"hold": "admission.hold=auto", "guard": "admission.guard.enabled=true"}[what]
		if !slices.ContainsFunc(there, func(p Policy) bool { return strings.HasSuffix(p.Name, "-"+what) }) {
			missing := finding
			missing.What = "There is no " + what + ". " + meaning
			missing.Do += "; if a value turned it off, add --set " + setting
			all = append(all, missing)
		}
		for _, p := range there {
			if p.Idle != "" {
				finding.Where = p.Kind + " " + p.Name
				finding.What = "The " + what + " is not in force: " + p.Idle + ". " + without(p.Name, meaning)
				finding.passing = p.Kind == "MutatingWebhookConfiguration"
				all = append(all, finding)
			}
		}
	}
	return all
}

// isVersion says whether a text is a version that can be compared, unlike "devel".
func isVersion(text string) bool {
	_, err := version.ParseGeneric(text)
	return err == nil
}

func pacVersion(f *Facts) []Finding {
	var all []Finding
	for namespace, p := range f.PAC {
		if !p.Found {
			all = append(all, Finding{
				Where: "namespace " + namespace,
				What: "Pipelines-as-Code is not there. Limits of its global Repository are not seen: runs that were queued for one start " +
					"one at a time.",
				Do: "If it is in another namespace, set the value pac.namespace to that, or leave it empty to have it found.",
			})
			continue
		}
		is, err := version.ParseGeneric(p.Version)
		if err == nil && is.LessThan(version.MustParseGeneric(oldestPAC)) {
			all = append(all, Finding{
				Where: p.Says,
				What: fmt.Sprintf("Pipelines-as-Code %s is too old: before %s it reports no run that the add-on starts.",
					p.Version, oldestPAC),
				Do: "Upgrade Pipelines-as-Code.",
			})
		}
	}
	return all
}

// untested compares versions with those that the add-on was played on.
func untested(f *Facts) []Finding {
	all := slices.Clone(f.Versions)
	for _, p := range f.PAC {
		is, err := version.ParseGeneric(p.Version)
		if err == nil && !is.LessThan(version.MustParseGeneric(oldestPAC)) {
			all = append(all, Version{tested.PAC, p.Version, p.Says})
		}
	}
	var found []Finding
	for _, v := range all {
		switch verdict := tested.Judge(v.Component, v.Text); {
		case verdict.Failure != "":
			found = append(found, Finding{
				Where: v.Says,
				What:  fmt.Sprintf("%s %s failed in tests: %s.", v.Component, v.Text, verdict.Failure),
				Do:    fmt.Sprintf("Use another version: %s were tested.", tested.RangeOf(v.Component)),
			})
		case verdict.Untested:
			found = append(found, Finding{
				Where:   v.Says,
				What:    fmt.Sprintf("%s %s was not tested. Nothing is known to fail.", v.Component, v.Text),
				Do:      fmt.Sprintf("Nothing, unless it does. Tested is %s.", tested.RangeOf(v.Component)),
				Warning: true,
			})
		}
	}
	return found
}

func pacSettings(f *Facts) []Finding {
	var all []Finding
	seen := map[string]bool{}
	for _, q := range f.Queues {
		where := "ConfigMap " + q.Config.PACNamespace + "/" + q.UnreadSettings
		if q.UnreadSettings == "" || seen[where] {
			continue
		}
		seen[where] = true
		all = append(all, Finding{
			Where: where,
			What: fmt.Sprintf("It has the settings of the controller of Pipelines-as-Code that made runs of Repository %s, but the "+
				"replicas do not read it: these runs go by the settings in ConfigMap %s.", q.Key(), pac.SettingsName),
			Do: "Add it to the value pac.configMaps.",
		})
	}
	return all
}

func clocks(f *Facts) []Finding {
	var all []Finding
	if f.ServerAhead.Abs() > clocksDiffer {
		all = append(all, Finding{
			Where: "this machine",
			What:  fmt.Sprintf("Its clock is %s the API server's: other programs show wrong ages here.", difference(-f.ServerAhead)),
			Do:    "Synchronize it (NTP).",
		})
	}
	for _, i := range f.Installations {
		for _, l := range f.Leaders[i.Name()] {
			if l.Spec.RenewTime == nil {
				continue
			}
			if ahead := l.Spec.RenewTime.Sub(f.Now); ahead > clocksDiffer {
				all = append(all, Finding{
					Where: "replica " + ptr.Deref(l.Spec.HolderIdentity, "") + " of " + i.Name(),
					What: fmt.Sprintf("Its clock is %s the API server's: it waits for Pipelines-as-Code less long than it should, "+
						"and writes wrong times.",
						difference(ahead)),
					Do: "Synchronize the clock of its node (NTP). Limits hold meanwhile: they do not depend on clocks.",
				})
			}
		}
	}
	return all
}

func difference(ahead time.Duration) string {
	if ahead < 0 {
		return report.Round(-ahead) + " behind"
	}
	return report.Round(ahead) + " ahead of"
}
