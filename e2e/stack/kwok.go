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

// kwokObjects are the fake node and a policy that binds every pod to it, in place of a scheduler.
const kwokObjects = `
apiVersion: v1
kind: Node
metadata:
  name: ` + nodeName + `
  annotations: {kwok.x-k8s.io/node: fake}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: stack-bind-pods}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: 'Object{spec: Object.spec{nodeName: "` + nodeName + `"}}'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: stack-bind-pods}
spec: {policyName: stack-bind-pods}
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

// kwokManifests are kwok's RBAC roles, the node and the policy.
func (s *Stack) kwokManifests(ctx context.Context) ([]*object, error) {
	dir, err := build.ModuleDir(ctx, build.ModuleKwok)
	if err != nil {
		return nil, err
	}
	objects, err := manifests.Read(filepath.Join(dir, "kustomize", "rbac"), "role.yaml", "role_binding.yaml")
	if err != nil {
		return nil, err
	}
	own, err := manifests.Parse(kwokObjects)
	if err != nil {
		return nil, err
	}
	return append(objects, own...), nil
}

// startKwok starts kwok and waits until its node is ready and pods are bound to it.
func (s *Stack) startKwok(ctx context.Context) error {
	dir, err := build.ModuleDir(ctx, build.ModuleKwok)
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
		Ready:       s.podsCanRun,
		ReadyWithin: kwokDeadline,
	})
	return s.startUp(ctx, p)
}

// podsCanRun checks that the node is ready and, by a dry run, that a new pod is bound to it.
func (s *Stack) podsCanRun(ctx context.Context) error {
	node, err := s.kube.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ready := false
	for _, c := range node.Status.Conditions {
		ready = ready || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}
	if !ready {
		return errors.New("the node is not ready")
	}
	pod, err := s.kube.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "binding-check"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != nodeName {
		return errors.New("the policy that binds pods is not in force")
	}
	return nil
}
