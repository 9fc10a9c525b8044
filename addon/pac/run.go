package pac

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// ReadRun reads a PipelineRun as a run of its queue, where PAC has its default settings.
func ReadRun(pr *tektonv1.PipelineRun) queue.Run { return Controllers{}.ReadRun(pr) }

// ReadRun reads a PipelineRun as a run of its queue. It never fails: annotations that cannot be
// read are listed in Problems, and the run is handled without them. A trimmed run reads as the
// whole one.
func (c Controllers) ReadRun(pr *tektonv1.PipelineRun) queue.Run {
	pr = Trim(pr)
	a, features := pr.Annotations, c.of(pr)
	labelled := a[byLabel] != ""
	if labelled {
		features = Features{}
	}
	r := queue.Run{
		Name:     pr.Name,
		UID:      string(pr.UID),
		Version:  pr.ResourceVersion,
		Phase:    phase(pr),
		Created:  pr.CreationTimestamp.Time,
		Manager:  ptr.Deref(pr.Spec.ManagedBy, ""),
		Origin:   features.origin(a),
		Began:    when(pr.Status.StartTime),
		Ended:    when(pr.Status.CompletionTime),
		Kueue:    kueue(pr),
		Labelled: labelled,
		Ending:   pr.IsCancelled() || pr.IsGracefullyCancelled() || pr.IsGracefullyStopped(),
	}
	r.Owed, r.Needs = features.owed(a)
	r.Needs = r.Needs && !c.Unseen
	problem := func(key string, err error, consequence string) {
		r.Problems = append(r.Problems, fmt.Sprintf("annotation %s: %v; %s", key, err, consequence))
	}
	if key, packed, present := orderOf(pr); present {
		sequence, err := unpackOrder(packed, pr.Name)
		if err != nil {
			problem(key, err, "the run is queued by its creation time")
		}
		r.Order = &queue.Order{Held: key == HeldOrder, Sequence: sequence}
	}
	if value, present := a[Attempt]; present {
		n, err := readAttempt(value)
		if err != nil {
			problem(Attempt, err, "it counts as 0")
		}
		r.Attempt = n
	}
	if value, present := a[Priority]; present {
		n, err := readPriority(value)
		if err != nil {
			problem(Priority, err, "it counts as 0")
		}
		r.Priority.Own = n
	}
	if value, present := a[Arrived]; present {
		arrived, err := queue.ParseArrival(value)
		if err = cmp.Or(usable(Arrived, value), err); err != nil {
			problem(Arrived, err, "it says nothing about when the event came")
			arrived = queue.Arrival{}
		}
		r.Arrived = arrived
	}
	if value, present := a[NotBefore]; present {
		t, err := time.Parse(time.RFC3339, value)
		if err = cmp.Or(usable(NotBefore, value), err); err != nil {
			problem(NotBefore, err, "there is no back-off")
			t = time.Time{}
		}
		r.NotBefore = t
	}
	if value, present := a[Claim]; present {
		token, err := queue.ParseToken(value)
		if err = cmp.Or(usable(Claim, value), err); err != nil {
			problem(Claim, err, "the run counts as started by another client")
		} else {
			r.Claim = &token
		}
	}
	for _, key := range origins {
		if err := usable(key, a[key]); err != nil {
			problem(key, err, "cancel-in-progress passes the run over")
			r.Origin = queue.Origin{}
		}
	}
	if pr.Kind == stubKind && r.Phase == queue.Pending {
		r.Origin = queue.Origin{}
		r.Problems = append(r.Problems, stubProblem)
	}
	return r
}

func readAttempt(value string) (int, error) {
	if err := usable(Attempt, value); err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > maxAttempt {
		return 0, fmt.Errorf("%d is not between 0 and %d", n, maxAttempt)
	}
	return n, nil
}

func readPriority(value string) (int, error) {
	if err := usable(Priority, value); err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", value)
	}
	if n < queue.MinPriority || n > queue.MaxPriority {
		return 0, fmt.Errorf("%d is not between %d and %d", n, queue.MinPriority, queue.MaxPriority)
	}
	return n, nil
}

func when(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// maxAttempt keeps the next attempt representable if the annotation was edited by hand.
const maxAttempt = 1 << 30

// phase: a run occupies the limit from the moment it is not Pending until Tekton says that it is
// done, no matter what PAC's state annotation says. A run that is cancelled or deleted while it is
// held never occupies a unit of the limit, and neither can be undone. The graceful kinds of
// cancellation differ: Tekton starts such a run for its finally tasks
// (pkg/reconciler/pipelinerun/resources/pipelinerunstate.go, GetFinalTasks), unless the run is
// being deleted, in which case Tekton leaves it alone. One that waits for Kueue keeps its slot
// until it is gone: once it is not pending, nothing tells it from a run that was started.
func phase(pr *tektonv1.PipelineRun) queue.Phase {
	switch {
	case pr.IsDone():
		return queue.Done
	case pr.IsPending() && pr.DeletionTimestamp != nil && pr.Annotations[Claim] == "":
		return queue.Done
	case pr.IsPending() && pr.DeletionTimestamp != nil:
		return queue.Started
	case pr.IsPending():
		return queue.Pending
	case pr.HasStarted(), pr.Annotations[Claim] != "":
		return queue.Started
	case pr.IsCancelled():
		return queue.Done
	case pr.DeletionTimestamp != nil && (pr.IsGracefullyCancelled() || pr.IsGracefullyStopped()):
		return queue.Done
	default:
		return queue.Started
	}
}

// owed names what PAC still has to do before the run starts (pkg/reconciler/reconciler.go,
// ReconcileKind), and whether the run cannot do without. A run with a git secret in its spec has no
// pod before the secret is there. A check run is only where PAC reports.
func (f Features) owed(annotations map[string]string) (what string, needs bool) {
	if annotations[keys.SecretCreated] == secretIsDue && !f.NoSecrets {
		what = "its git secret (" + keys.SecretCreated + ")"
		if provider := annotations[keys.GitProvider]; !slices.Contains(providers, provider) {
			what += fmt.Sprintf(", for which %s is %q and must name a provider", keys.GitProvider, provider)
		}
		return what, annotations[needsSecret] != ""
	}
	if _, app := annotations[keys.InstallationID]; app {
		if _, checked := annotations[keys.CheckRunID]; !checked {
			return "its check run (" + keys.CheckRunID + ")", false
		}
	}
	return "", false
}

// providers are those that PAC tells a run's Git provider by (pkg/reconciler/event.go,
// detectProvider). Without one it makes no secret, and reports nothing.
var providers = []string{"github", "github-enterprise", "gitlab", "bitbucket-cloud", "bitbucket-datacenter", "gitea", "forgejo"}
