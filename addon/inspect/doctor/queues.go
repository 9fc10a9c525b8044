package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// place is where the Lease of a slot is.
func place(q inspect.Queue, index int) string {
	return q.Key().Namespace + "/" + lease.Name(q.Key().Repository, index)
}

// inPlace says which slot below the limit of a queue a Lease is in the place of. It is
// not asked the other way round: a limit may be a million.
func inPlace(q inspect.Queue, namespace, name string) (int, bool) {
	index, ok := lease.IndexOf(name, q.Key().Repository)
	return index, ok && namespace == q.Key().Namespace && index < int(q.Limit)
}

func slots(f *Facts) []Finding {
	const rewritten = "A working replica puts it right by itself; if this stays, look at what is said of replicas and rights. Find out who edits Leases: nobody needs to."
	var all []Finding
	for _, q := range f.Queues {
		if q.Config.Backend != store.Lease || q.Config.HandBack {
			continue
		}
		holders, runs := map[int]queue.Slot{}, map[string]queue.Run{}
		for _, r := range q.Snapshot.Runs {
			runs[r.UID] = r
		}
		for _, s := range q.Snapshot.Slots {
			holders[s.Index] = s
			where := "Lease " + place(q, s.Index)
			switch {
			case s.Damaged != "":
				all = append(all, Finding{Where: where, What: "Somebody edited it: " + s.Damaged + ". The slot counts as taken.", Do: rewritten, passing: true})
			case s.Holder == nil:
			case runs[s.Holder.UID].UID == "":
				all = append(all, Finding{Where: where, What: "It names " + s.Holder.Name + ", and there is no such run: it was deleted, or somebody edited the Lease.", Do: rewritten, passing: true})
			case runs[s.Holder.UID].Phase == queue.Done:
				all = append(all, Finding{Where: where, What: "It still names " + s.Holder.Name + ", which is over.", Do: "A working replica gives it to the next run, or empties it; if this stays, look at what is said of replicas and rights.", passing: true})
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
				finding.What = "Somebody edited it: it is a slot of Repository " + q.Key().String() + " without the labels or the annotation of one."
				finding.Do = rewritten
				finding.Repair = &Repair{What: "put back what it is known by", lease: &l}
			} else {
				finding.What = "It is in the place of a slot of Repository " + q.Key().String() + ", and is none: that slot cannot be made."
				finding.Do = "Remove it, if it is not needed: kubectl delete lease -n " + l.Namespace + " " + l.Name
				finding.passing = false
			}
			all = append(all, finding)
		}
		for _, is := range q.Runs {
			claim := is.Run.Claim
			if is.State() != queue.StateStarted || is.Slot != queue.NoSlot || claim == nil || claim.Slot == queue.NoSlot || claim.Slot >= int(q.Limit) {
				continue
			}
			if _, stray := f.Strays[place(q, claim.Slot)]; stray {
				continue
			}
			finding := Finding{Where: "Lease " + place(q, claim.Slot), Do: rewritten, passing: true}
			switch now, exists := holders[claim.Slot]; {
			case !exists:
				finding.What = "It was deleted, though " + is.Run.Name + " runs in that slot."
			case now.Damaged != "":
				continue
			case now.Holder == nil:
				finding.What = "Somebody edited it: it names nobody, though " + is.Run.Name + " runs in that slot."
			default:
				finding.What = "Somebody edited it: it names " + now.Holder.Name + ", though " + is.Run.Name + " runs in that slot."
			}
			all = append(all, finding)
		}
	}
	return all
}

func runs(f *Facts) []Finding {
	var all []Finding
	for _, q := range f.Queues {
		if q.Missing && q.Waiting > 0 {
			all = append(all, Finding{
				Where: "Repository " + q.Key().String(),
				What:  fmt.Sprintf("It does not exist, and %d of its runs wait.", q.Waiting),
				Do:    "Create it, or cancel or delete these runs.",
			})
			continue
		}
		if len(f.Installations) > 0 && !slices.ContainsFunc(f.Installations, func(i inspect.Installation) bool { return i.Environment.Watched.Contains(q.Key().Namespace) }) {
			// Its queues are Pipelines-as-Code's, but for runs whose order that cannot see.
			if slices.ContainsFunc(q.Runs, func(is queue.Standing) bool { return is.Run.Phase == queue.Pending && is.Run.Held() }) {
				all = append(all, Finding{
					Where: "namespace " + q.Key().Namespace,
					What:  "No installation works on its queues, and runs of Repository " + q.Key().Repository + " wait that are held for one.",
					Do:    "Add it to watchNamespaces.",
				})
			}
			continue
		}
		for _, is := range q.Runs {
			where := "PipelineRun " + q.Key().Namespace + "/" + is.Run.Name
			refusal := f.Refusals[is.Run.UID]
			claimed, since := is.Slot != queue.NoSlot, f.Now.Sub(q.Acquired[is.Slot])
			switch {
			case is.Run.Phase != queue.Pending || q.Missing:
			case is.Why == queue.BackOff, is.Why == queue.Due && (is.Run.Attempt > 0 || claimed && refusal != ""):
				what := fmt.Sprintf("Its start is refused (attempt %d).", is.Run.Attempt)
				if refusal != "" {
					what += "\n" + refusal
				}
				all = append(all, Finding{Where: where, What: what, Do: "Have the admission policy or webhook that refuses the update let it through, or cancel the run. It is tried again by itself, and others go first meanwhile."})
			case is.Why == queue.Due && claimed && since > startWithin:
				all = append(all, Finding{
					Where: where, passing: true,
					What: fmt.Sprintf("It has had slot %d for %s and has not been started.", is.Slot, report.Round(since)),
					Do:   "Either no replica works, or the start is refused: the log of the leading replica says which, and after " + q.Config.Policy.ClaimTTL.String() + " an event ClaimExpired on the run.",
				})
			case is.Why == queue.Due && !claimed && q.Config.Backend == store.Lease:
				all = append(all, Finding{
					Where: where, passing: true,
					What: "It could be started, and nobody starts it.",
					Do:   "Look at what is said of replicas and rights, and at the log of the leading replica.",
				})
			}
		}
	}
	return all
}
