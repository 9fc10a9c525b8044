package pac_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// madeBy is what a run says of the controller that made it
// (pkg/kubeinteraction/labels.go, AddLabelsAndAnnotations).
func madeBy(configMap string) change {
	return annotated(keys.ControllerInfo, `{"name":"ghe","configmap":"`+configMap+`","secret":"ghe-secret", "gRepo": "ghe"}`)
}

// TestControllers names PAC's rules about which settings a run goes by, each with its source in
// PAC.
func TestControllers(t *testing.T) {
	onPush, onPullRequest := queue.CancelInProgress{OnPush: true}, queue.CancelInProgress{OnPullRequest: true}
	two := pac.Controllers{
		Default: pac.Features{CancelInProgress: onPush},
		Further: map[string]pac.Features{"ghe-configmap": {CancelInProgress: onPullRequest}},
	}
	without := func(ofWatcher, ofController bool) pac.Controllers {
		return pac.Controllers{
			Default: pac.Features{NoSecrets: ofWatcher},
			Further: map[string]pac.Features{"ghe-configmap": {NoSecrets: ofController}},
		}
	}
	for name, tc := range map[string]struct {
		source      string // in PAC
		controllers pac.Controllers
		run         []change
		want        queue.CancelInProgress
		owed        bool
	}{
		"PAC's own controller": {
			"pkg/params/info/controller_info.go, GetControllerInfoFromEnvOrDefault",
			two,
			[]change{madeBy("pipelines-as-code")},
			onPush, false,
		},
		"a further controller cancels by its own settings": {
			"pkg/pipelineascode/cancel_pipelineruns.go, cancelInProgressMatchingPipelineRun; pkg/params/run.go, UpdatePacConfig",
			two,
			[]change{madeBy("ghe-configmap")},
			onPullRequest, false,
		},
		"a controller whose settings are not read": {
			"none: the default ones are the best guess", two, []change{madeBy("third-configmap")}, onPush, false,
		},
		"a run that does not say": {
			"pkg/reconciler/reconciler.go, ReconcileKind: without the annotation, the default controller", two, nil, onPush, false,
		},
		"a run that cannot be read": {
			"none: PAC's watcher cannot work on such a run", two, []change{annotated(keys.ControllerInfo, "{")}, onPush, false,
		},
		"null": {
			"none: PAC's watcher cannot work on such a run", two, []change{annotated(keys.ControllerInfo, "null")}, onPush, false,
		},
		"too long to be kept": {
			"none", two, []change{madeBy("ghe-configmap"), annotated(keys.ControllerInfo, `{"configmap":"ghe-configmap","x":"`+
				strings.Repeat("x", 600)+`"}`)}, onPush, false,
		},
		"the watcher makes secrets": {
			"pkg/reconciler/reconciler.go, ReconcileKind: secret-auto-create", without(false, false),
			[]change{madeBy("ghe-configmap"), annotated(keys.SecretCreated, "false")},
			queue.CancelInProgress{},
			true,
		},
		"the watcher makes none": {
			"cmd/pipelines-as-code-watcher: no PAC_CONTROLLER_CONFIGMAP", without(true, false),
			[]change{madeBy("ghe-configmap"), annotated(keys.SecretCreated, "false")},
			queue.CancelInProgress{},
			false,
		},
		"the controller wants none, which the watcher reads sooner or later": {
			"pkg/params/run.go, UpdatePacConfig, with the controller that ReconcileKind saw last", without(false, true),
			[]change{madeBy("ghe-configmap"), annotated(keys.SecretCreated, "false")},
			queue.CancelInProgress{},
			false,
		},
		"another controller wants none": {
			"pkg/reconciler/reconciler.go, ReconcileKind", without(false, true),
			[]change{madeBy("pipelines-as-code"), annotated(keys.SecretCreated, "false")},
			queue.CancelInProgress{},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := tc.controllers.ReadRun(pipelineRun("build", tc.run...))
			if diff := cmp.Diff(tc.want, run.Origin.Settings); diff != "" {
				t.Errorf("cancel-in-progress, as in %s (-want +got):\n%s", tc.source, diff)
			}
			if owed := run.Owed != ""; owed != tc.owed {
				t.Errorf("owes %q, want something: %t, as in %s", run.Owed, tc.owed, tc.source)
			}
		})
	}
}

// target-namespace puts a run into the namespace of another Repository of the same URL. That
// Repository's name is in its annotation, and its limit makes the run wait
// (pkg/matcher/annotation_matcher.go, MatchPipelinerunByAnnotation; pkg/pipelineascode/
// pipelineascode.go, startPR). The order of the event lists it among the runs of all namespaces
// (pkg/pipelineascode/concurrency.go, getOrderByName).
func TestTargetNamespace(t *testing.T) {
	const order = "prod/deploy,shop/build,shop/test"
	deploy := pipelineRun("deploy", annotated(keys.Repository, "app-prod"), annotated(pac.HeldOrder, order))
	deploy.Namespace = "prod"
	build := pipelineRun("build", annotated(pac.HeldOrder, order))
	for _, tc := range []struct {
		pr    *tektonv1.PipelineRun
		queue queue.Key
		order []string
		back  string
	}{
		{deploy, queue.Key{Namespace: "prod", Repository: "app-prod"}, []string{"deploy"}, "prod/deploy"},
		{build, shopApp, []string{"build", "test"}, "shop/build,shop/test"},
	} {
		t.Run(tc.pr.Name, func(t *testing.T) {
			if key, ok := pac.KeyOf(tc.pr); !ok || key != tc.queue {
				t.Errorf("it is in queue %s, %t, want %s", key, ok, tc.queue)
			}
			run := pac.ReadRun(tc.pr)
			if len(run.Problems) > 0 {
				t.Errorf("problems: %q", run.Problems)
			}
			if want := queue.NewSequence(tc.order); run.Sequence() == nil || run.Sequence().Pack() != want.Pack() {
				t.Errorf("its order is %v, want that of %q", run.Order, tc.order)
			}
			returned := tc.pr.DeepCopy()
			delete(returned.Annotations, pac.HeldOrder)
			runs, api, _ := newRuns(t, inTurn(answer(http.StatusOK, tc.pr), answer(http.StatusOK, returned)))
			if err := runs.HandBack(t.Context(), tc.queue, run); err != nil {
				t.Fatal(err)
			}
			annotations := api.got()[1].Body["metadata"].(map[string]any)["annotations"].(map[string]any)
			if got := annotations[keys.ExecutionOrder]; got != tc.back {
				t.Errorf("it is handed back with order %q, want %q", got, tc.back)
			}
		})
	}
}

func TestSettingsOf(t *testing.T) {
	for name, want := range map[string]string{"": "", "{": "", `{"configmap":7}`: "", `{"configmap":"ghe"}`: "ghe"} {
		pr := pipelineRun("build", annotated(keys.ControllerInfo, name))
		if got := pac.SettingsOf(pr); got != want {
			t.Errorf("%q names %q, want %q", name, got, want)
		}
	}
}
