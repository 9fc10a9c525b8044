package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/harness/await"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

const (
	repositoryKey = keys.Repository

	// creators is how many requests at a time create what is measured.
	creators = 16
	// mostPerNamespace is how many queues share a namespace.
	mostPerNamespace = 50

	templateName     = "template"
	templateDeadline = time.Minute
)

// template is a run as PAC creates it for a push, of which all runs are copies, and how PAC reaches
// the Git repository to which it reports.
type template struct {
	run *tektonv1.PipelineRun
	git provider.Access
}

// newTemplate has PAC make a run.
func (b *bench) newTemplate(ctx context.Context) (t template, err error) {
	git, err := b.Gitea().NewRepository(ctx, templateName)
	if err != nil {
		return t, err
	}
	repository, err := b.NewPACRepository(ctx, templateName, templateName, git, new(1))
	if err != nil {
		return t, err
	}
	if _, err := git.Push(ctx, stack.RunFiles(1, time.Second), "one run"); err != nil {
		return t, err
	}
	runs := b.admin.Tekton.TektonV1().PipelineRuns(templateName)
	waiting, cancel := context.WithTimeout(ctx, templateDeadline)
	defer cancel()
	err = await.Until(waiting, 100*time.Millisecond, func() error {
		list, err := runs.List(ctx, metav1.ListOptions{})
		if err == nil && (len(list.Items) != 1 || list.Items[0].Annotations[keys.ExecutionOrder] == "") {
			err = errors.New("PAC has not queued the run of a push")
		}
		if err == nil {
			t.run = &list.Items[0]
		}
		return err
	})
	if err != nil {
		return t, err
	}
	t.git = git.Access()
	// No watcher makes the secret of a copy, so that no copy may wait for one.
	t.run.Annotations[keys.SecretCreated] = "true"
	return t, errors.Join(runs.Delete(ctx, t.run.Name, metav1.DeleteOptions{}), repository.Delete(ctx))
}

// load is what a measurement works on: queues with the same number of runs each.
type load struct {
	name   string // begins the names of its namespaces
	queues []queue.Key
	runs   int // of a queue
	event  int // runs of an event
}

func newLoad(name string, queues, runs, event int) load {
	l := load{name: name, runs: runs, event: event}
	for i := range queues {
		l.queues = append(l.queues, queue.Key{
			Namespace: fmt.Sprintf("%s-%d", name, i/mostPerNamespace), Repository: fmt.Sprintf("queue-%d", i),
		})
	}
	return l
}

func (l load) total() int { return len(l.queues) * l.runs }

// namespaces are those of the queues.
func (l load) namespaces() []string {
	var all []string
	for i := 0; i < len(l.queues); i += mostPerNamespace {
		all = append(all, l.queues[i].Namespace)
	}
	return all
}

// prepare creates namespaces and Repositories.
func (b *bench) prepare(ctx context.Context, l load, limit int) error {
	for _, namespace := range l.namespaces() {
		if err := b.NewNamespace(ctx, namespace); err != nil {
			return err
		}
		secret, _ := b.template.git.Repository(templateName, &limit)
		if _, err := b.admin.Kube.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return inParallel(ctx, len(l.queues), func(ctx context.Context, i int) error {
		_, repository := b.template.git.Repository(templateName, &limit)
		repository.Name = l.queues[i].Repository
		_, err := b.admin.PAC.PipelinesascodeV1alpha1().Repositories(l.queues[i].Namespace).Create(ctx, repository, metav1.CreateOptions{})
		return err
	})
}

// create creates the runs as PAC's controller does, the first one of each queue before the second
// ones.
func (b *bench) create(ctx context.Context, l load) error {
	return inParallel(ctx, l.total(), func(ctx context.Context, i int) error {
		key, n := l.queues[i%len(l.queues)], i/len(l.queues)
		return b.controller.CreateRun(ctx, key.Namespace, b.template.copy(key, n, l.event))
	})
}

// runName is that of run n of a queue.
func runName(key queue.Key, n int) string { return fmt.Sprintf("%s-run-%05d", key.Repository, n) }

// copy returns run n of a queue.
func (t template) copy(key queue.Key, n, event int) *tektonv1.PipelineRun {
	name := func(n int) string { return runName(key, n) }
	var order []string
	for first, i := n-n%event, 0; i < event; i++ {
		order = append(order, key.Namespace+"/"+name(first+i))
	}
	run := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: name(n), Labels: maps.Clone(t.run.Labels), Annotations: maps.Clone(t.run.Annotations),
		},
		Spec: *t.run.Spec.DeepCopy(),
	}
	run.Labels[keys.Repository], run.Annotations[keys.Repository] = key.Repository, key.Repository
	run.Annotations[keys.ExecutionOrder] = strings.Join(order, ",")
	return run
}

// remove deletes the runs and Repositories of a load, so that no contender sees those of another.
func (b *bench) remove(ctx context.Context, l load) error {
	background := metav1.DeletePropagationBackground
	now := metav1.DeleteOptions{PropagationPolicy: &background}
	for _, namespace := range l.namespaces() {
		repositories := b.admin.PAC.PipelinesascodeV1alpha1().Repositories(namespace)
		if err := repositories.DeleteCollection(ctx, now, metav1.ListOptions{}); err != nil {
			return err
		}
		// The API server ends a request after a minute, and what that has deleted stays deleted.
		deleting, cancel := context.WithTimeout(ctx, deadline)
		err := await.Until(deleting, time.Second, func() error {
			return b.admin.Tekton.TektonV1().PipelineRuns(namespace).DeleteCollection(deleting, now, metav1.ListOptions{})
		})
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// inParallel does n things, in their order, some at a time.
func inParallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(creators)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		all.Go(func() error { return do(ctx, i) })
	}
	return all.Wait()
}
