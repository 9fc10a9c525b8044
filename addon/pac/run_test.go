package pac_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func TestPhase(t *testing.T) {
	const (
		cancelled = tektonv1.PipelineRunSpecStatusCancelled
		finally   = tektonv1.PipelineRunSpecStatusCancelledRunFinally
		stopped   = tektonv1.PipelineRunSpecStatusStoppedRunFinally
	)
	claim := annotated(pac.Claim, "0/1/0")
	for name, tc := range map[string]struct {
		changes []change
		want    queue.Phase
	}{
		"held":                                  {nil, queue.Pending},
		"held, and Tekton has noted that":       {[]change{succeeded(corev1.ConditionUnknown)}, queue.Pending},
		"held, and PAC believes it started":     {[]change{annotated(keys.State, "started")}, queue.Pending},
		"cancelled while held":                  {[]change{specStatus(cancelled)}, queue.Done},
		"cancelled while held, PAC reported it": {[]change{specStatus(cancelled), annotated(keys.State, "completed")}, queue.Done},
		"cancelled while held, Tekton has seen it": {[]change{
			specStatus(cancelled), startedAt(noon),
			succeeded(corev1.ConditionFalse),
		}, queue.Done},
		"deleted while held, a finalizer keeps it": {[]change{deleted}, queue.Done},
		"cancelled and deleted while held":         {[]change{specStatus(cancelled), deleted}, queue.Done},
		"started, Tekton has not seen it":          {[]change{specStatus(""), claim}, queue.Started},
		"started by another client":                {[]change{specStatus("")}, queue.Started},
		"running": {[]change{
			specStatus(""), claim, startedAt(noon),
			succeeded(corev1.ConditionUnknown),
		}, queue.Started},
		"running, and PAC believes it is over": {
			[]change{specStatus(""), startedAt(noon), annotated(keys.State, "completed")},
			queue.Started,
		},
		"cancelled after our start": {[]change{specStatus(cancelled), claim}, queue.Started},
		"cancelled while running": {[]change{
			specStatus(cancelled), startedAt(noon),
			succeeded(corev1.ConditionUnknown),
		}, queue.Started},
		"deleted while running, a finalizer keeps it": {[]change{specStatus(""), claim, startedAt(noon), deleted}, queue.Started},
		// Tekton starts these, runs their finally tasks, and is done only then
		// (pkg/reconciler/pipelinerun/resources/pipelinerunstate.go, GetFinalTasks).
		"cancelled gracefully while held": {[]change{specStatus(finally)}, queue.Started},
		"stopped gracefully while held":   {[]change{specStatus(stopped)}, queue.Started},
		"cancelled gracefully while held, finally runs": {[]change{
			specStatus(finally), startedAt(noon),
			succeeded(corev1.ConditionUnknown),
		}, queue.Started},
		"cancelled gracefully while held, finally is over": {[]change{
			specStatus(finally), startedAt(noon),
			succeeded(corev1.ConditionFalse),
		}, queue.Done},
		"succeeded": {[]change{specStatus(""), claim, startedAt(noon), succeeded(corev1.ConditionTrue)}, queue.Done},
		"failed":    {[]change{specStatus(""), claim, startedAt(noon), succeeded(corev1.ConditionFalse)}, queue.Done},
		// Tekton refuses some runs without ever starting them.
		"failed while held": {[]change{succeeded(corev1.ConditionFalse)}, queue.Done},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pac.ReadRun(pipelineRun("build", tc.changes...)).Phase; got != tc.want {
				t.Errorf("phase is %s, want %s", got, tc.want)
			}
		})
	}
}

// TestDoneIsFinal walks every way from held to done, step by step: a cached
// observation of done must stay true.
func TestDoneIsFinal(t *testing.T) {
	claim := annotated(pac.Claim, "0/1/0")
	start := []change{specStatus(""), claim}
	run := append(start, startedAt(noon), succeeded(corev1.ConditionUnknown))
	for name, history := range map[string][][]change{
		"succeeds":                       {nil, start, run, append(run, succeeded(corev1.ConditionTrue))},
		"cancelled while held":           cancellation(tektonv1.PipelineRunSpecStatusCancelled),
		"cancelled gracefully when held": gracefully(tektonv1.PipelineRunSpecStatusCancelledRunFinally),
		"stopped gracefully when held":   gracefully(tektonv1.PipelineRunSpecStatusStoppedRunFinally),
		"deleted while held, then stopped gracefully": {
			nil, {deleted}, {deleted, specStatus(tektonv1.PipelineRunSpecStatusStoppedRunFinally)},
		},
		"deleted while held, then cancelled gracefully": {
			nil, {deleted}, {deleted, specStatus(tektonv1.PipelineRunSpecStatusCancelledRunFinally)},
		},
		"cancelled after the start": {
			nil, start, append(start, specStatus(tektonv1.PipelineRunSpecStatusCancelled)),
			append(start, specStatus(tektonv1.PipelineRunSpecStatusCancelled), startedAt(noon), succeeded(corev1.ConditionFalse)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			was := queue.Pending
			for i, changes := range history {
				is := pac.ReadRun(pipelineRun("build", changes...)).Phase
				if is < was {
					t.Errorf("step %d: %s after %s", i, is, was)
				}
				was = is
			}
			if was != queue.Done {
				t.Errorf("ends %s", was)
			}
		})
	}
}

// cancellation is what Tekton does with a run that is cancelled before it
// starts: its first reconcile is its last.
func cancellation(s tektonv1.PipelineRunSpecStatus) [][]change {
	return [][]change{
		nil,
		{specStatus(s)},
		{specStatus(s), startedAt(noon), succeeded(corev1.ConditionFalse)},
	}
}

// gracefully is the same for one whose finally tasks still run.
func gracefully(s tektonv1.PipelineRunSpecStatus) [][]change {
	return [][]change{
		nil,
		{specStatus(s)},
		{specStatus(s), startedAt(noon), succeeded(corev1.ConditionUnknown)},
		{specStatus(s), startedAt(noon), succeeded(corev1.ConditionFalse)},
	}
}

func TestReadRun(t *testing.T) {
	both := queue.NewSequence([]string{"build", "test"})
	// held is how the run of pipelineRun reads.
	held := queue.Run{
		Name: "build", UID: "uid-1", Version: "7", Phase: queue.Pending, Created: noon,
		Order: &queue.Order{Held: true, Sequence: both},
	}
	but := func(change func(*queue.Run)) queue.Run {
		r := held
		change(&r)
		return r
	}
	unordered := func(problem string) queue.Run {
		return but(func(r *queue.Run) { r.Order, r.Problems = &queue.Order{Held: true}, []string{problem} })
	}
	problem := func(p string) queue.Run { return but(func(r *queue.Run) { r.Problems = []string{p} }) }
	const byCreation = "; the run is queued by its creation time"

	for name, tc := range map[string]struct {
		changes []change
		want    queue.Run
	}{
		"held, nothing wrong": {want: held},
		"PAC's own order, from before there was a hold": {
			[]change{without(pac.HeldOrder), annotated(keys.ExecutionOrder, "shop/build,shop/test")},
			but(func(r *queue.Run) { r.Order = &queue.Order{Sequence: both} }),
		},
		"the held order counts, PAC's does not": {
			[]change{annotated(keys.ExecutionOrder, "shop/test,shop/build")}, held,
		},
		"no order yet": {
			[]change{without(pac.HeldOrder)},
			but(func(r *queue.Run) { r.Order = nil }),
		},
		"no annotations at all": {
			[]change{func(pr *tektonv1.PipelineRun) { pr.Annotations = nil }},
			but(func(r *queue.Run) { r.Order = nil }),
		},
		"blanks around entries": {[]change{annotated(pac.HeldOrder, " shop/build , shop/test ")}, held},
		"a copy, which is all of its event": {
			[]change{annotated(pac.HeldOrder, pac.Itself)},
			but(func(r *queue.Run) { r.Order = &queue.Order{Held: true, Sequence: queue.NewSequence([]string{"build"})} }),
		},

		"order: empty": {
			[]change{annotated(pac.HeldOrder, "")},
			unordered(`annotation pac-lease-queue.dev/execution-order: entry 1 of 1, "", is not namespace/name` + byCreation),
		},
		"order: an entry without a slash (PAC #2945)": {
			[]change{annotated(pac.HeldOrder, "shop/build,test")},
			unordered(`annotation pac-lease-queue.dev/execution-order: entry 2 of 2, "test", is not namespace/name` + byCreation),
		},
		"order: a comma too many": {
			[]change{annotated(pac.HeldOrder, "shop/build,")},
			unordered(`annotation pac-lease-queue.dev/execution-order: entry 2 of 2, "", is not namespace/name` + byCreation),
		},
		"order: a run twice": {
			[]change{annotated(pac.HeldOrder, "shop/build,shop/build")},
			unordered(`annotation pac-lease-queue.dev/execution-order: a run is listed twice` + byCreation),
		},
		"order: without the run": {
			[]change{annotated(pac.HeldOrder, "shop/test")},
			unordered(`annotation pac-lease-queue.dev/execution-order: the run build itself is missing` + byCreation),
		},
		"PAC's order, malformed": {
			[]change{without(pac.HeldOrder), annotated(keys.ExecutionOrder, "build")},
			but(func(r *queue.Run) {
				r.Order = &queue.Order{}
				r.Problems = []string{`annotation pipelinesascode.tekton.dev/execution-order: entry 1 of 1, "build", ` +
					`is not namespace/name` + byCreation}
			}),
		},

		"attempt": {
			[]change{annotated(pac.Attempt, "3")},
			but(func(r *queue.Run) { r.Attempt = 3 }),
		},
		"attempt: no number": {
			[]change{annotated(pac.Attempt, "three")},
			problem(`annotation pac-lease-queue.dev/attempt: strconv.Atoi: parsing "three": invalid syntax; it counts as 0`),
		},
		"attempt: empty": {
			[]change{annotated(pac.Attempt, "")},
			problem(`annotation pac-lease-queue.dev/attempt: strconv.Atoi: parsing "": invalid syntax; it counts as 0`),
		},
		"attempt: negative": {
			[]change{annotated(pac.Attempt, "-1")},
			problem(`annotation pac-lease-queue.dev/attempt: -1 is not between 0 and 1073741824; it counts as 0`),
		},
		"attempt: absurd": {
			[]change{annotated(pac.Attempt, "1073741825")},
			problem(`annotation pac-lease-queue.dev/attempt: 1073741825 is not between 0 and 1073741824; it counts as 0`),
		},
		"attempt: beyond every number": {
			[]change{annotated(pac.Attempt, "99999999999999999999")},
			problem(`annotation pac-lease-queue.dev/attempt: strconv.Atoi: parsing "99999999999999999999": ` +
				`value out of range; it counts as 0`),
		},

		"stamp": {[]change{annotated(pac.Arrived, "1234")}, but(func(r *queue.Run) { r.Arrived = queue.Arrival{Version: 1234} })},
		"stamp: a bound": {
			[]change{annotated(pac.Arrived, "<=7")},
			but(func(r *queue.Run) { r.Arrived = queue.Arrival{Version: 7, AtMost: true} }),
		},
		"stamp: none": {
			[]change{annotated(pac.Arrived, "0")},
			problem(`annotation pac-lease-queue.dev/arrived: "0" is not a resourceVersion, e.g. 1234 or <=1234; ` +
				`it says nothing about when the event came`),
		},

		"back-off": {
			[]change{annotated(pac.NotBefore, "2026-07-01T12:00:05Z")},
			but(func(r *queue.Run) { r.NotBefore = noon.Add(5 * time.Second) }),
		},
		"back-off: no time": {
			[]change{annotated(pac.NotBefore, "5s")},
			problem(`annotation pac-lease-queue.dev/not-before: parsing time "5s" as "2006-01-02T15:04:05Z07:00": ` +
				`cannot parse "5s" as "2006"; there is no back-off`),
		},

		"claim": {
			[]change{specStatus(""), annotated(pac.Claim, "1/12/2")},
			but(func(r *queue.Run) {
				r.Phase, r.Claim = queue.Started, &queue.Token{Slot: 1, Transition: 12, Attempt: 2}
			}),
		},
		"claim: without a slot": {
			[]change{specStatus(""), annotated(pac.Claim, "-1/0/0")},
			but(func(r *queue.Run) { r.Phase, r.Claim = queue.Started, &queue.Token{Slot: queue.NoSlot} }),
		},
		"claim: no token": {
			[]change{annotated(pac.Claim, "mine")},
			problem(`annotation pac-lease-queue.dev/claim: claim token "mine" is not slot/transition/attempt, ` +
				`e.g. 0/12/0; the run counts as started by another client`),
		},
		"claim: negative": {
			[]change{annotated(pac.Claim, "0/-1/0")},
			problem(`annotation pac-lease-queue.dev/claim: claim token "0/-1/0" has a negative part; ` +
				`the run counts as started by another client`),
		},

		"everything wrong at once": {
			[]change{annotated(pac.HeldOrder, "x"), annotated(pac.Attempt, "x"), annotated(pac.NotBefore, "x"), annotated(pac.Claim, "x")},
			but(func(r *queue.Run) {
				r.Order = &queue.Order{Held: true}
				r.Problems = []string{
					`annotation pac-lease-queue.dev/execution-order: entry 1 of 1, "x", is not namespace/name` + byCreation,
					`annotation pac-lease-queue.dev/attempt: strconv.Atoi: parsing "x": invalid syntax; it counts as 0`,
					`annotation pac-lease-queue.dev/not-before: parsing time "x" as "2006-01-02T15:04:05Z07:00": ` +
						`cannot parse "x" as "2006"; there is no back-off`,
					`annotation pac-lease-queue.dev/claim: claim token "x" is not slot/transition/attempt, ` +
						`e.g. 0/12/0; the run counts as started by another client`,
				}
			}),
		},

		"owes its secret": {
			[]change{annotated(keys.SecretCreated, "false"), annotated(keys.GitProvider, "gitlab")},
			but(func(r *queue.Run) { r.Owed = "its git secret (pipelinesascode.tekton.dev/secret-created)" }),
		},
		"owes its secret, and its spec names that": {
			[]change{annotated(keys.SecretCreated, "false"), annotated(keys.GitProvider, "gitea"), gitSecret},
			but(func(r *queue.Run) {
				r.Owed, r.Needs = "its git secret (pipelinesascode.tekton.dev/secret-created)", true
			}),
		},
		"owes its secret, and PAC cannot tell the provider": {
			[]change{annotated(keys.SecretCreated, "false"), annotated(keys.GitProvider, "cvs"), gitSecret},
			but(func(r *queue.Run) {
				r.Owed, r.Needs = "its git secret (pipelinesascode.tekton.dev/secret-created), for which "+
					`pipelinesascode.tekton.dev/git-provider is "cvs" and must name a provider`, true
			}),
		},
		"has the secret that its spec names": {[]change{annotated(keys.SecretCreated, "true"), gitSecret}, held},
		"Tekton's own to run":                {[]change{managedBy("tekton.dev/pipeline")}, held},
		"another controller's to run": {
			[]change{managedBy("example.com/other")}, but(func(r *queue.Run) { r.Manager = "example.com/other" }),
		},
		"a manager of any length": {
			[]change{managedBy("example.com/" + strings.Repeat("x", 1000))},
			but(func(r *queue.Run) { r.Manager = "example.com/" + strings.Repeat("x", 113) + "…" }),
		},
		"has its secret": {[]change{annotated(keys.SecretCreated, "true")}, held},
		"owes its check run": {
			[]change{annotated(keys.InstallationID, "42")},
			but(func(r *queue.Run) { r.Owed = "its check run (pipelinesascode.tekton.dev/check-run-id)" }),
		},
		"has its check run": {[]change{annotated(keys.InstallationID, "42"), annotated(keys.CheckRunID, "7")}, held},
		"owes both, one at a time": {
			[]change{
				annotated(keys.InstallationID, "42"), annotated(keys.SecretCreated, "false"), annotated(keys.GitProvider, "github"),
			},
			but(func(r *queue.Run) { r.Owed = "its git secret (pipelinesascode.tekton.dev/secret-created)" }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			pr := pipelineRun("build", tc.changes...)
			before := pr.DeepCopy()
			got := pac.ReadRun(pr)
			if diff := cmp.Diff(tc.want, got, sequencesByNames); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, pr); diff != "" {
				t.Errorf("ReadRun changed its PipelineRun (-before +after):\n%s", diff)
			}
		})
	}
}

// TestSequenceOfAnother: a list means nothing to a run that is not in it, no matter which run
// carries it.
func TestSequenceOfAnother(t *testing.T) {
	const list = "shop/one,shop/two"
	one := pac.ReadRun(pipelineRun("one", annotated(pac.HeldOrder, list)))
	two := pac.ReadRun(pipelineRun("two", annotated(pac.HeldOrder, list)))
	if one.Sequence() == nil || two.Sequence() == nil || one.Sequence().ID != two.Sequence().ID {
		t.Errorf("sequences %v and %v, want equal ones", one.Sequence(), two.Sequence())
	}
	stranger := pac.ReadRun(pipelineRun("stranger", annotated(pac.HeldOrder, list)))
	if !stranger.Order.Malformed() {
		t.Errorf("a run that is not listed got the order all the same: %+v", stranger)
	}
	elsewhere := pipelineRun("one", annotated(pac.HeldOrder, list))
	elsewhere.Namespace = "bank"
	if r := pac.ReadRun(elsewhere); !r.Order.Malformed() {
		t.Errorf("a run of another namespace got the order all the same: %+v", r)
	}
}

func TestKeyOf(t *testing.T) {
	for name, tc := range map[string]struct {
		changes []change
		want    queue.Key
		wantOK  bool
	}{
		"by the annotation": {nil, shopApp, true},
		"not by the label, which may be cut short": {
			[]change{func(pr *tektonv1.PipelineRun) { pr.Labels = map[string]string{keys.Repository: "ap"} }}, shopApp, true,
		},
		"no annotation":    {[]change{without(keys.Repository)}, queue.Key{Namespace: "shop"}, false},
		"empty annotation": {[]change{annotated(keys.Repository, "")}, queue.Key{Namespace: "shop"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := pac.KeyOf(pipelineRun("build", tc.changes...))
			if got != tc.want || ok != tc.wantOK {
				t.Errorf("key %v %t, want %v %t", got, ok, tc.want, tc.wantOK)
			}
		})
	}
}

func TestSelector(t *testing.T) {
	selector, err := labels.Parse(pac.Selector)
	if err != nil {
		t.Fatal(err)
	}
	managed := labels.Set{"app.kubernetes.io/managed-by": "pipelinesascode.tekton.dev"}
	for state, want := range map[string]bool{
		"": true, "queued": true, "started": true, "completed": false, "failed": false,
	} {
		set := labels.Merge(managed, nil)
		if state != "" {
			set[keys.State] = state
		}
		if got := selector.Matches(set); got != want {
			t.Errorf("selects a run in state %q: %t, want %t", state, got, want)
		}
	}
	if selector.Matches(labels.Set{keys.State: "queued"}) {
		t.Error("selects a run that is not PAC's")
	}
}

// gitSecret has the spec name the git secret, as a template with {{ git_auth_secret }} does.
func gitSecret(pr *tektonv1.PipelineRun) {
	pr.Annotations[keys.GitAuthSecret] = "pac-gitauth-abc"
	pr.Spec.Workspaces = []tektonv1.WorkspaceBinding{
		{Name: "auth", Secret: &corev1.SecretVolumeSource{SecretName: "pac-gitauth-abc"}},
	}
}

func managedBy(controller string) change {
	return func(pr *tektonv1.PipelineRun) { pr.Spec.ManagedBy = &controller }
}

// A run is kept waiting for its secret only where that is known to be made.
func TestNeedsSecret(t *testing.T) {
	due := annotated(keys.SecretCreated, "false")
	for name, tc := range map[string]struct {
		controllers pac.Controllers
		run         *tektonv1.PipelineRun
		want        bool
	}{
		"it is in the spec":     {pac.Controllers{}, pipelineRun("build", due, gitSecret), true},
		"it is not in the spec": {pac.Controllers{}, pipelineRun("build", due, annotated(keys.GitAuthSecret, "pac-gitauth-abc")), false},
		"it has no name":        {pac.Controllers{}, pipelineRun("build", due, gitSecret, without(keys.GitAuthSecret)), false},
		"a part of another name": {
			pac.Controllers{}, pipelineRun("build", due, gitSecret, annotated(keys.GitAuthSecret, "pac-gitauth")), false,
		},
		"PAC makes none":   {pac.Controllers{Default: pac.Features{NoSecrets: true}}, pipelineRun("build", due, gitSecret), false},
		"PAC is not found": {pac.Controllers{Unseen: true}, pipelineRun("build", due, gitSecret), false},
		"a user writes it by hand": {
			pac.Controllers{}, pipelineRun("build", due, annotated("pac-lease-queue.dev/needs-secret", "true")), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.controllers.ReadRun(tc.run).Needs; got != tc.want {
				t.Errorf("it needs its secret: %t, want %t", got, tc.want)
			}
			cached := fromCache(tc.run)
			if got := tc.controllers.ReadRun(cached).Needs; got != tc.want {
				t.Errorf("from the cache, it needs its secret: %t, want %t", got, tc.want)
			}
		})
	}
}

func TestReadRunWithoutSecrets(t *testing.T) {
	features := pac.Controllers{Default: pac.Features{NoSecrets: true}}
	due := annotated(keys.SecretCreated, "false")
	if owed := features.ReadRun(pipelineRun("build", due)).Owed; owed != "" {
		t.Errorf("a run is owed %s, which PAC does not make", owed)
	}
	want := "its check run (" + keys.CheckRunID + ")"
	if owed := features.ReadRun(pipelineRun("build", due, annotated(keys.InstallationID, "42"))).Owed; owed != want {
		t.Errorf("a run is owed %q, want %q", owed, want)
	}
}
