package stack

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// bindRetry is the pause after a request that failed.
const bindRetry = 200 * time.Millisecond

// binder binds every pod to kwok's node, in place of a scheduler. It is a goroutine of the test
// program.
type binder struct {
	client kubernetes.Interface
	log    *os.File
	cancel context.CancelFunc
	ended  chan struct{}
}

func (s *Stack) bindPods() error {
	client, err := kubernetes.NewForConfig(s.Config(SchedulerUser))
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(s.LogsDir(), "binder.log"))
	if err != nil {
		return err
	}
	s.binder = startBinder(client, file)
	return nil
}

// startBinder starts a binder, which closes its log when it is stopped.
func startBinder(client kubernetes.Interface, file *os.File) *binder {
	ctx, cancel := context.WithCancel(context.Background())
	b := &binder{client: client, log: file, cancel: cancel, ended: make(chan struct{})}
	go b.run(ctx)
	return b
}

func (b *binder) stop() {
	if b == nil {
		return
	}
	b.cancel()
	<-b.ended
	_ = b.log.Close()
}

// run starts over after every failure: the API server may be away for a while.
func (b *binder) run(ctx context.Context) {
	defer close(b.ended)
	logger := log.New(b.log, "", log.LstdFlags|log.Lmicroseconds)
	for {
		if err := b.follow(ctx); err != nil && ctx.Err() == nil {
			logger.Print(err)
		}
		select {
		case <-time.After(bindRetry):
		case <-ctx.Done():
			return
		}
	}
}

// follow binds the pods that are there and those that are created until the watch ends or a request
// fails.
func (b *binder) follow(ctx context.Context) error {
	unbound := metav1.ListOptions{FieldSelector: "spec.nodeName="}
	pods, err := b.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, unbound)
	if err != nil {
		return err
	}
	var failures []error // of one pod, do not keep the others waiting
	for i := range pods.Items {
		failures = append(failures, b.bind(ctx, &pods.Items[i]))
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	unbound.ResourceVersion = pods.ResourceVersion
	changes, err := b.client.CoreV1().Pods(metav1.NamespaceAll).Watch(ctx, unbound)
	if err != nil {
		return err
	}
	defer changes.Stop()
	defer context.AfterFunc(ctx, changes.Stop)()
	for change := range changes.ResultChan() {
		switch change.Type {
		case watch.Added:
			if err := b.bind(ctx, change.Object.(*corev1.Pod)); err != nil {
				return err
			}
		case watch.Error:
			return apierrors.FromObject(change.Object)
		}
	}
	return nil
}

func (b *binder) bind(ctx context.Context, pod *corev1.Pod) error {
	err := b.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: nodeName},
	}, metav1.CreateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // deleted, or bound by a request whose reply was lost
		return nil
	}
	if err != nil {
		return fmt.Errorf("binding pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
