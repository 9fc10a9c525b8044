package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/kubelet"
)

// hookAnnotation marks the objects that helm creates, runs and waits for as hooks.
const hookAnnotation = "helm.sh/hook"

// hookPoll is the pause between searches for new hooks.
const hookPoll = 200 * time.Millisecond

// withHooks runs a helm command and, as processes, the Jobs and Pods of its hooks. Their results go
// into their status, where helm waits for them, and their output into log files.
func (a *Addon) withHooks(ctx context.Context, helm ...string) (string, error) {
	ctx, stop := context.WithCancel(ctx)
	running := make(chan error, 1)
	go func() {
		err := a.runHooks(ctx)
		if err != nil {
			stop() // or helm waits until its own timeout
		}
		running <- err
	}()
	out, err := a.stack.Helm(ctx, helm...)
	stop()
	return out, errors.Join(err, <-running)
}

func (a *Addon) runHooks(ctx context.Context) error {
	ran := map[types.UID]bool{}
	for {
		jobs, err := a.stack.kube.BatchV1().Jobs(a.opts.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil && ctx.Err() == nil {
			return err
		}
		for i := range jobs.Items {
			if job := &jobs.Items[i]; job.Annotations[hookAnnotation] != "" && !ran[job.UID] {
				ran[job.UID] = true
				if err := a.runJob(ctx, job); err != nil {
					return fmt.Errorf("hook %s: %w", job.Name, err)
				}
			}
		}
		pods, err := a.stack.kube.CoreV1().Pods(a.opts.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil && ctx.Err() == nil {
			return err
		}
		for i := range pods.Items {
			if pod := &pods.Items[i]; pod.Annotations[hookAnnotation] != "" && !ran[pod.UID] {
				ran[pod.UID] = true
				if err := a.runPod(ctx, pod); err != nil {
					return fmt.Errorf("hook %s: %w", pod.Name, err)
				}
			}
		}
		select {
		case <-time.After(hookPoll):
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *Addon) runJob(ctx context.Context, job *batchv1.Job) error {
	pod := &corev1.Pod{ObjectMeta: job.Spec.Template.ObjectMeta, Spec: job.Spec.Template.Spec}
	pod.Name, pod.Namespace = job.Name, job.Namespace
	began := metav1.Now()
	failure := a.runContainer(ctx, pod)
	ended := metav1.Now()
	job.Status.StartTime = &began
	report := func(kinds ...batchv1.JobConditionType) error {
		reported := job.DeepCopy()
		for _, kind := range kinds {
			reported.Status.Conditions = append(reported.Status.Conditions, batchv1.JobCondition{
				Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: ended,
			})
		}
		_, err := a.stack.kube.BatchV1().Jobs(job.Namespace).UpdateStatus(ctx, reported, metav1.UpdateOptions{})
		return err
	}
	if failure != nil {
		job.Status.Failed = 1
		return errors.Join(failure, report(batchv1.JobFailureTarget, batchv1.JobFailed))
	}
	job.Status.Succeeded, job.Status.CompletionTime = 1, &ended
	err := report(batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)
	if apierrors.IsInvalid(err) { // an older API server, e.g. 1.30, wants the second alone, a newer one both
		err = report(batchv1.JobComplete)
	}
	return err
}

func (a *Addon) runPod(ctx context.Context, pod *corev1.Pod) error {
	failure := a.runContainer(ctx, pod)
	phase := corev1.PodSucceeded
	if failure != nil {
		phase = corev1.PodFailed
	}
	patch := fmt.Appendf(nil, `{"status":{"phase":%q}}`, phase)
	_, err := a.stack.kube.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return errors.Join(failure, err)
}

// runContainer runs a pod's container as a process, with the rights of the pod's ServiceAccount,
// and returns when it has ended.
func (a *Addon) runContainer(ctx context.Context, pod *corev1.Pod) error {
	s := a.stack
	container, err := kubelet.Container(pod.Spec)
	if err != nil {
		return err
	}
	pod.Spec.NodeName = nodeName
	env, err := kubelet.Env(ctx, s.kube, pod, container)
	if err != nil {
		return err
	}
	token, err := s.serviceAccountToken(ctx, pod.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(s.dir, "kubeconfig", pod.Name)
	if err := s.writeKubeconfig(kubeconfig, s.apiURL, token, pod.Namespace); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.LogsDir(), pod.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, a.binary, slices.Clone(container.Args)...)
	cmd.Dir, cmd.Env = s.dir, slices.Concat(env, []string{"KUBECONFIG=" + kubeconfig}, a.opts.Env)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w; its output is in %s", err, log.Name())
	}
	return nil
}
