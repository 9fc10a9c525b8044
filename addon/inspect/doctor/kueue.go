package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// kueueWithin is how long a run may wait for Kueue without being a finding. It may be right to wait
// for longer, but its slot is taken meanwhile.
const kueueWithin = 10 * time.Minute

// noAccount are the ServiceAccounts by which Kueue may start runs and that do not exist.
func (d *Doctor) noAccount(ctx context.Context, f *Facts, i inspect.Installation) ([]string, error) {
	if !f.Kueue {
		return nil, nil
	}
	var missing []string
	for account := range strings.SplitSeq(i.Config.KueueAccounts, ",") {
		name, isServiceAccount := strings.CutPrefix(account, "system:serviceaccount:")
		namespace, name, _ := strings.Cut(name, ":")
		if !isServiceAccount {
			continue
		}
		_, err := d.Kube.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			missing = append(missing, account)
		case f.refused(err, "ServiceAccount %s/%s, by which Kueue starts runs", namespace, name):
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}

// kueue says whether the add-on and Kueue are set up against each other.
func kueue(f *Facts) []Finding {
	if !f.Kueue {
		return nil
	}
	var all []Finding
	for _, i := range f.Installations {
		labelled := 0
		for _, q := range f.Queues {
			if !i.Environment.Watched.Contains(q.Key().Namespace) {
				continue
			}
			for _, is := range q.Runs {
				if is.Run.Kueue.Queue != "" {
					labelled++
				}
			}
		}
		accounts := strings.Split(i.Config.KueueAccounts, ",")
		switch {
		case labelled == 0:
		case i.Config.KueueAccounts == "":
			all = append(all, Finding{
				Where: "Deployment " + i.Name(), intended: true,
				What: fmt.Sprintf("The cluster has Kueue, and runs are labelled for it (%s), but kueue.accounts is empty: they are "+
					"started without Kueue's admission. If Kueue has a controller for PipelineRuns, it stops them.",
					plural(labelled, "run")),
				Do: "Name the account of that controller: " + helmUpgrade(i) +
					" --set kueue.accounts={system:serviceaccount:tekton-kueue:tekton-kueue-controller-manager}",
			})
		case !slices.ContainsFunc(accounts, func(a string) bool { return !slices.Contains(f.NoAccount[i.Name()], a) }):
			all = append(all, Finding{
				Where: "Deployment " + i.Name(),
				What: fmt.Sprintf("Runs are labelled for Kueue (%s), but none of the accounts by which it may start them exists: %s. "+
					"The guard refuses every other account, so these runs wait for ever.", plural(labelled, "run"),
					strings.Join(accounts, ", ")),
				Do: "Name the account of Kueue's controller for PipelineRuns: " + helmUpgrade(i) + " --set kueue.accounts={…}. " +
					"If there is none any more, --set kueue.accounts=[] has pac-lease-queue start these runs.",
			})
		}
	}
	return all
}

// waitsForKueue is a run that has had its slot for long, and waits for Kueue.
func waitsForKueue(where string, q inspect.Queue, is queue.Standing, now time.Time) []Finding {
	since := now.Sub(q.Acquired[is.Slot])
	if is.Slot == queue.NoSlot || since < kueueWithin {
		return nil
	}
	return []Finding{{
		Where: where, intended: true,
		What: fmt.Sprintf("It has had slot %d for %s, and waits for Kueue to admit it (its queue %s).", is.Slot, report.Round(since),
			is.Run.Kueue.Queue),
		Do: fmt.Sprintf("Ask Kueue what it waits for: kubectl get workloads.kueue.x-k8s.io -n %s -o wide; kubectl get localqueues."+
			"kueue.x-k8s.io -n %s. To give the slot back, cancel or delete the run.", q.Key().Namespace, q.Key().Namespace),
	}}
}
