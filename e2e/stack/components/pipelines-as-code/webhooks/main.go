// Command webhooks says what Pipelines-as-Code makes of webhooks. PAC's own code detects whose each
// one is, parses it, matches PipelineRuns of .tekton with it and annotates them; the program stops
// where PAC would create them. It reads webhooks from standard input and writes events to standard
// output, both as JSON.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/events"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/kubeinteraction"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/matcher"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/params"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/params/info"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/provider"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/provider/bitbucketcloud"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/provider/bitbucketdatacenter"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/provider/gitea"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/provider/github"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/provider/gitlab"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/resolve"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"go.uber.org/zap"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

type webhook struct {
	Header  map[string]string `json:"header"`
	Payload json.RawMessage   `json:"payload"`
}

// event is what PAC makes of a webhook. Without runs, Reason says why there are none.
type event struct {
	Provider    string              `json:"provider"`
	Type        string              `json:"type"`
	Target      string              `json:"target"`
	PullRequest int                 `json:"pullRequest"`
	Sender      string              `json:"sender"`
	Branch      string              `json:"branch"`
	Runs        []map[string]string `json:"runs"` // the annotations of each
	Reason      string              `json:"reason"`
}

func main() {
	server := flag.String("server", "", "`URL` of what answers for Kubernetes and the Git providers")
	flag.Parse()
	if err := run(context.Background(), *server); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server string) error {
	var in struct {
		Repository   *v1alpha1.Repository
		PipelineRuns []*tektonv1.PipelineRun
		Webhooks     []webhook
	}
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return fmt.Errorf("read webhooks: %w", err)
	}
	p := &pac{run: params.New(), repository: in.Repository, server: server, log: zap.NewNop().Sugar()}
	if err := p.connect(); err != nil {
		return err
	}
	all := []event{}
	for _, w := range in.Webhooks {
		is, err := p.event(ctx, w, in.PipelineRuns)
		if err != nil {
			is.Reason = err.Error()
		}
		all = append(all, is)
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

// pac is PAC's controller as far as it is needed.
type pac struct {
	run        *params.Run
	repository *v1alpha1.Repository
	server     string
	log        *zap.SugaredLogger
}

func (p *pac) connect() (err error) {
	config, c := &rest.Config{Host: p.server}, &p.run.Clients
	c.Log = p.log
	if c.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if c.PipelineAsCode, err = versioned.NewForConfig(config); err != nil {
		return err
	}
	c.Tekton, err = tekton.NewForConfig(config)
	return err
}

// event is pkg/adapter and pkg/pipelineascode without what has no say in the type of an event:
// signatures and permissions.
func (p *pac) event(ctx context.Context, w webhook, definitions []*tektonv1.PipelineRun) (event, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.server, http.NoBody)
	if err != nil {
		return event{}, err
	}
	for key, value := range w.Header {
		request.Header.Set(key, value)
	}
	of, err := p.detect(request, string(w.Payload))
	if err != nil {
		return event{}, err
	}
	emitter := events.NewEventEmitter(p.run.Clients.Kube, p.log)
	is := event{Provider: of.GetConfig().Name}
	// PAC has a client before it parses if the webhook is that of a GitHub App, and makes one when
	// it first needs it otherwise.
	asApp := &info.Event{Provider: &info.Provider{URL: p.server, Token: "token"}}
	switch of.(type) {
	case *github.Provider, *gitlab.Provider:
		if err := of.SetClient(ctx, p.run, asApp, p.repository, emitter); err != nil {
			return is, fmt.Errorf("client: %w", err)
		}
	}
	e, err := of.ParsePayload(ctx, p.run, request, string(w.Payload))
	if err != nil {
		return is, fmt.Errorf("parse: %w", err)
	}
	var copies []*tektonv1.PipelineRun
	for _, d := range definitions {
		copies = append(copies, d.DeepCopy())
	}
	if copies, err = resolve.MetadataResolve(copies); err != nil {
		return is, err
	}
	matches, err := matcher.MatchPipelinerunByAnnotation(ctx, p.log, copies, p.run, e, of, emitter, p.repository, false)
	is.Type, is.Target, is.PullRequest, is.Branch = e.EventType, e.TriggerTarget.String(), e.PullRequestNumber, e.HeadBranch
	is.Sender = e.Sender
	if err != nil {
		return is, fmt.Errorf("match: %w", err)
	}
	for _, m := range matches {
		if err := annotate(ctx, e, m.PipelineRun, p.repository, of.GetConfig(), p.run); err != nil {
			return is, fmt.Errorf("annotate: %w", err)
		}
		is.Runs = append(is.Runs, m.PipelineRun.Annotations)
	}
	return is, nil
}

// detect asks the providers in the order of pkg/adapter/adapter.go.
func (p *pac) detect(request *http.Request, payload string) (provider.Interface, error) {
	gh := github.New()
	gh.Run = p.run
	for _, of := range []provider.Interface{
		gh, &gitea.Provider{}, &bitbucketdatacenter.Provider{}, &gitlab.Provider{}, &bitbucketcloud.Provider{},
	} {
		of.SetLogger(p.log)
		of.SetPacInfo(&info.PacOpts{})
		is, process, _, reason, err := of.Detect(request, payload, p.log)
		switch {
		case is && err != nil:
			return nil, fmt.Errorf("detect: %w", err)
		case is && !process:
			return nil, fmt.Errorf("PAC skips it: %s", cmp.Or(reason, "no reason"))
		case is:
			return of, nil
		}
	}
	return nil, fmt.Errorf("PAC knows no provider of it")
}

// annotate calls AddLabelsAndAnnotations, which has a context since PAC 0.50.
func annotate(
	ctx context.Context, e *info.Event, pr *tektonv1.PipelineRun, r *v1alpha1.Repository, config *info.ProviderConfig, run *params.Run,
) error {
	switch add := any(kubeinteraction.AddLabelsAndAnnotations).(type) {
	case func(
		context.Context, *info.Event, *tektonv1.PipelineRun, *v1alpha1.Repository, *info.ProviderConfig, *params.Run,
	) error:
		return add(ctx, e, pr, r, config, run)
	case func(*info.Event, *tektonv1.PipelineRun, *v1alpha1.Repository, *info.ProviderConfig, *params.Run) error:
		return add(e, pr, r, config, run)
	default:
		return fmt.Errorf("AddLabelsAndAnnotations is a %T", add)
	}
}
