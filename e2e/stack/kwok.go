package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/build"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/manifests"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// Annotations of a PipelineRun that determine how its pods end. Tekton copies them from the run to
// its task runs and their pods.
const (
	// AnnotationDelay is the time that each pod takes, e.g. "500ms". The default is
	// Options.RunTime.
	AnnotationDelay = "stack.pac-lease-queue.dev/delay"
	// AnnotationFail makes each pod fail at the end of that time if it is "true".
	AnnotationFail = "stack.pac-lease-queue.dev/fail"
)

const nodeName = "kwok"

// kwokNode is the fake node.
const kwokNode = `
apiVersion: v1
kind: Node
metadata:
  name: ` + nodeName + `
  annotations: {kwok.x-k8s.io/node: fake}
`

// taskRunStage ends the pods of task runs. %[1]s is the name of the stage, %[2]s is NotIn for pods
// that succeed and In for pods that fail, %[3]s is their phase, %[4]d their exit code, and %[5]d
// the default delay in milliseconds.
const taskRunStage = `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: %[1]s}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Running]}
    - {key: '.metadata.ownerReferences.[].kind', operator: In, values: [TaskRun]}
    - {key: '.metadata.annotations["` + AnnotationFail + `"]', operator: %[2]s, values: ["true"]}
  delay:
    durationMilliseconds: %[5]d
    durationFrom: {expressionFrom: '.metadata.annotations["` + AnnotationDelay + `"]'}
  next:
    statusTemplate: |
      {{ $now := Now }}
      {{ $root := . }}
      containerStatuses:
      {{ range $index, $item := .spec.containers }}
      {{ $origin := index $root.status.containerStatuses $index }}
      - image: {{ $item.image | Quote }}
        name: {{ $item.name | Quote }}
        ready: false
        restartCount: 0
        started: false
        state:
          terminated:
            exitCode: %[4]d
            finishedAt: {{ $now | Quote }}
            reason: {{ if eq %[4]d 0 }}Completed{{ else }}Error{{ end }}
            startedAt: {{ $origin.state.running.startedAt | Quote }}
      {{ end }}
      phase: %[3]s
---
`

// kwokManifests are kwok's RBAC roles and the node.
func (s *Stack) kwokManifests(ctx context.Context) ([]*object, error) {
	dir, err := s.opts.Versions.ModuleDir(ctx, build.ModuleKwok)
	if err != nil {
		return nil, err
	}
	objects, err := manifests.Read(filepath.Join(dir, "kustomize", "rbac"), "role.yaml", "role_binding.yaml")
	if err != nil {
		return nil, err
	}
	own, err := manifests.Parse(kwokNode)
	if err != nil {
		return nil, err
	}
	return append(objects, own...), nil
}

// startKwok starts kwok and the binder, and waits until the node is ready.
func (s *Stack) startKwok(ctx context.Context) error {
	dir, err := s.opts.Versions.ModuleDir(ctx, build.ModuleKwok)
	if err != nil {
		return err
	}
	stages := filepath.Join(s.dir, "kwok-stages.yaml")
	delay := s.opts.RunTime.Milliseconds()
	text := fmt.Sprintf(taskRunStage, "taskrun-succeeds", "NotIn", "Succeeded", 0, delay) +
		fmt.Sprintf(taskRunStage, "taskrun-fails", "In", "Failed", 1, delay)
	if err := os.WriteFile(stages, []byte(text), 0o600); err != nil {
		return err
	}
	args := []string{
		"--kubeconfig=" + s.Kubeconfig(KwokUser),
		"--manage-all-nodes",
		"--node-lease-duration-seconds=0",
		"--config=" + stages,
	}
	for _, stage := range []string{
		"node/fast/node-initialize.yaml", "node/heartbeat/node-heartbeat.yaml", "pod/fast/pod-ready.yaml", "pod/fast/pod-delete.yaml",
	} {
		args = append(args, "--config="+filepath.Join(dir, "kustomize", "stage", filepath.FromSlash(stage)))
	}
	p := s.add(process.Spec{
		Name:        "kwok",
		Path:        s.programs[build.Kwok],
		Args:        args,
		Ready:       s.nodeReady,
		ReadyWithin: kwokDeadline,
	})
	if err := s.bindPods(); err != nil {
		return err
	}
	return s.startUp(ctx, p)
}

func (s *Stack) nodeReady(ctx context.Context) error {
	node, err := s.kube.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("the node is not ready")
}
