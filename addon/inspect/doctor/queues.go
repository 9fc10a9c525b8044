package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// place is where the Lease of a slot is.
func place(q inspect.Queue, index int) string {
	return q.Key().Namespace + "/" + lease.Name(q.Key().Repository, index)
}

// inPlace says which slot below the limit of a queue a Lease has the name of. It goes from
// Leases to slots and not the other way round, as a limit may be a million.
func inPlace(q inspect.Queue, namespace, name string) (int, bool) {
	index, ok := lease.IndexOf(name, q.Key().Repository)
	return index, ok && namespace == q.Key().Namespace && index < int(q.Limit)
}

func slots(f *Facts) []Finding {
	const (
		whileItLasts = "If the problem stays, look at the findings on replicas and rights."
		rewritten    = "A working replica repairs it. " + whileItLasts + " Find out what edits Leases: no user needs to."
	)
	var all []Finding
	for _, q := range f.Queues {
		if q.Config.Backend != store.Lease || q.Config.HandBack {
			continue
		}
		holders, runs := map[int]queue.Slot{}, map[string]queue.Run{}
		for _, r := range q.Snapshot.Runs {
			runs[r.UID] = *r
		}
		for _, s := range q.Snapshot.Slots {
			holders[s.Index] = s
			where := "Lease " + place(q, s.Index)
			switch {
			case s.Damaged != "":
				all = append(all, Finding{
					Where: where, Do: rewritten, passing: true,
					What: "It was edited by hand and cannot be read: " + s.Damaged + ". The slot counts as taken.",
				})
			case s.Holder == nil:
			case f.keepsForPods(q) && (runs[s.Holder.UID].UID == "" || runs[s.Holder.UID].Phase == queue.Done):
				all = append(all, Finding{
					Where: where, passing: true,
					What: "It still names " + s.Holder.Name + ", which is done. It may be kept for pods of that run " +
						"(concurrency.release, or spec.release of its RunQueue, is podsGone).",
					Do: "Look for them: kubectl get pods -n " + q.Key().Namespace + " -l tekton.dev/pipelineRun=" + s.Holder.Name +
						". If their node is lost, delete it, or force the deletion of the pods. If there are none, a working replica " +
						"gives the slot away. " + whileItLasts,
				})
			case runs[s.Holder.UID].UID == "":
				all = append(all, Finding{
					Where: where, Do: rewritten, passing: true,
					What: "It names " + s.Holder.Name + ", and there is no such run: the run was deleted, or the Lease was edited by hand.",
				})
			case runs[s.Holder.UID].Phase == queue.Done:
				all = append(all, Finding{
					Where: where, passing: true,
					What: "It still names " + s.Holder.Name + ", which is done.",
					Do:   "A working replica gives it to the next run or empties it. " + whileItLasts,
				})
			}
		}
		for _, at := range slices.Sorted(maps.Keys(f.Strays)) {
			namespace, name, _ := strings.Cut(at, "/")
			index, in := inPlace(q, namespace, name)
			if !in {
				continue
			}
			l := f.Strays[at]
			finding := Finding{Where: "Lease " + place(q, index), passing: true}
			if lease.OwnedBy(&l, q.Key().Repository) {
				finding.What = "It was edited by hand: it is a slot of Repository " + q.Key().String() +
					" without the labels or the annotation of one."
				finding.Do = rewritten
				finding.Repair = &Repair{What: "put back the labels and the annotation", lease: &l}
			} else {
				finding.What = "It has the name of a slot of Repository " + q.Key().String() +
					" but is not one: that slot cannot be created."
				finding.Do = "Delete it if it is not needed: kubectl delete lease -n " + l.Namespace + " " + l.Name
				finding.passing = false
			}
			all = append(all, finding)
		}
		for _, is := range q.Runs {
			claim := is.Run.Claim
			if is.State() != queue.StateStarted || is.Slot != queue.NoSlot || claim == nil || claim.Slot == queue.NoSlot ||
				claim.Slot >= int(q.Limit) {
				continue
			}
			if _, stray := f.Strays[place(q, claim.Slot)]; stray {
				continue
			}
			finding := Finding{Where: "Lease " + place(q, claim.Slot), Do: rewritten, passing: true}
			switch now, exists := holders[claim.Slot]; {
			case !exists:
				finding.What = "It was deleted while " + is.Run.Name + " runs in that slot."
			case now.Damaged != "":
				continue
			case now.Holder == nil:
				finding.What = "It was edited by hand: it names no run while " + is.Run.Name + " runs in that slot."
			default:
				finding.What = "It was edited by hand: it names " + now.Holder.Name + " while " + is.Run.Name + " runs in that slot."
			}
			all = append(all, finding)
		}
	}
	return all
}

// unreported finds the runs that PAC has not finished with, long after Tekton has.
func unreported(f *Facts) []Finding {
	var all []Finding
	for _, q := range f.Queues {
		var names []string
		for _, r := range q.Snapshot.Runs {
			if due := r.ReportDue(); !due.IsZero() && !f.Now.Before(due) {
				names = append(names, r.Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		all = append(all, Finding{
			Where: "Repository " + q.Key().String(), Warning: true,
			What: fmt.Sprintf("Pipelines-as-Code has not reported the end of %s, more than %s after it: %s for one. They take no slot.",
				plural(len(names), "run"), report.Round(queue.ReportGrace), slices.Min(names)),
			Do: "Look at the log of the watcher of Pipelines-as-Code. The queue does not need these runs: they may be deleted.",
		})
	}
	return all
}

// keepsForPods says whether the installation that works on a queue keeps its slots for pods.
func (f *Facts) keepsForPods(q inspect.Queue) bool {
	return slices.ContainsFunc(f.Installations, func(i inspect.Installation) bool {
		wanted := q.Snapshot.Spec.Release
		return i.Environment.Watched.Contains(q.Key().Namespace) && i.Environment.Release.Of(wanted) == queue.ReleaseWhenPodsGone
	})
}

func runs(f *Facts) []Finding {
	var all []Finding
	for _, q := range f.Queues {
		if q.Missing && q.Waiting > 0 {
			all = append(all, Finding{
				Where: "Repository " + q.Key().String(),
				What: fmt.Sprintf("It does not exist, and %s for it.",
					plural(q.Waiting, "run")+map[bool]string{true: " waits", false: " wait"}[q.Waiting == 1]),
				Do: "Create it, or cancel or delete these runs.",
			})
			continue
		}
		if len(f.Installations) > 0 && !slices.ContainsFunc(f.Installations,
			func(i inspect.Installation) bool { return i.Environment.Watched.Contains(q.Key().Namespace) }) {
			// Its queues are Pipelines-as-Code's, but for runs whose order PAC cannot see.
			if slices.ContainsFunc(q.Runs, func(is queue.Standing) bool { return is.Run.Phase == queue.Pending && is.Run.Held() }) {
				all = append(all, Finding{
					Where: "namespace " + q.Key().Namespace,
					What:  "No installation works on its queues, but runs of Repository " + q.Key().Repository + " are held for one.",
					Do:    "Add it to watchNamespaces.",
				})
			}
			continue
		}
		for _, is := range q.Runs {
			where := "PipelineRun " + q.Key().Namespace + "/" + is.Run.Name
			refusal := q.Refusals[is.Run.UID]
			claimed, since := is.Slot != queue.NoSlot, f.Now.Sub(q.Acquired[is.Slot])
			switch {
			case is.Why == queue.AtKueue:
				all = append(all, waitsForKueue(where, q, is, f.Now)...)
			case is.Why == queue.NotBegun:
				all = append(all, Finding{
					Where: where,
					What: "It is started, but " + is.Run.Manager + ", which its spec.managedBy names, has not begun with it. It takes no " +
						"slot until then.",
					Do: "Install that controller, or delete the run.",
				})
			case is.Run.Phase == queue.Started && q.Config.Policy.Overdue(is.Run, f.Now):
				all = append(all, Finding{
					Where: where,
					What:  "It was started without " + is.Run.Owed + ", which Pipelines-as-Code has not made: it may not report this run.",
					Do:    "Look at the log of the watcher of Pipelines-as-Code.",
				})
			case is.Why == queue.Unprepared:
				all = append(all, Finding{
					Where: where,
					What: "It is not started without " + is.Run.Owed + ", which Pipelines-as-Code has not made. Other runs go first " +
						"meanwhile.",
					Do: "Look at the logs of Pipelines-as-Code. Cancel the run and push or comment again, or make the secret and set the " +
						"annotation to \"true\".",
				})
			case is.Run.Phase != queue.Pending || q.Missing:
			case is.Why == queue.Due && !claimed && event.SlotRefusal(refusal) != "":
				all = append(all, Finding{
					Where: where, What: refusal, passing: true,
					Do: "Raise the quota (count/leases.coordination.k8s.io), or change the policy or webhook to let " +
						"pac-lease-queue write its Leases. The queue then goes on by itself within seconds.",
				})
			case is.Why == queue.BackOff, is.Why == queue.Due && (is.Run.Attempt > 0 || claimed && refusal != ""):
				what := fmt.Sprintf("The API server refuses its start (attempt %d).", is.Run.Attempt)
				if refusal != "" {
					what += "\n" + refusal
				}
				all = append(all, Finding{
					Where: where, What: what,
					Do: "Change the admission policy or webhook to let the update through, or cancel the run. " +
						"Further attempts follow, and other runs go first meanwhile.",
				})
			case is.Why == queue.Due && claimed && since > startWithin:
				all = append(all, Finding{
					Where: where, passing: true,
					What: fmt.Sprintf("It has had slot %d for %s and is not started.", is.Slot, report.Round(since)),
					Do: "Either no replica works, or the API server refuses the start. The log of the leading replica says which; after " +
						q.Config.Policy.ClaimTTL.String() + " so does an event ClaimExpired on the run.",
				})
			case is.Why == queue.Due && !claimed && q.Config.Backend == store.Lease:
				all = append(all, Finding{
					Where: where, passing: true,
					What: "It is due, but no replica starts it.",
					Do:   "Look at the findings on replicas and rights, and at the log of the leading replica.",
				})
			}
		}
	}
	return all
}
