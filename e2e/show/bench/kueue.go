package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
)

// What tekton-kueue 0.x on Kueue 0.16.6 was measured to write for each run: 13.6 objects and 24
// events. Two of the objects are those that the floor writes.
const kueueWrites, kueueEvents = 12, 24

// workloadSize is about how many bytes Kueue's Workload of a run has.
const workloadSize = 2 << 10

// kueueBesides makes as many further requests for a run as tekton-kueue does. The writes of its
// Workload come one after the other, since each of Kueue's controllers waits for the one before;
// the events wait for nothing. The Workload is a ConfigMap here.
func kueueBesides(clients fixture.Clients, group *errgroup.Group) func(context.Context, step) error {
	return func(ctx context.Context, s step) error {
		workloads := clients.Kube.CoreV1().ConfigMaps(s.key.Namespace)
		workload, err := workloads.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "workload-" + s.run}, Data: map[string]string{"spec": strings.Repeat("x", workloadSize)},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		for i := 1; i < kueueWrites; i++ {
			workload.Data["status"] = fmt.Sprint(i)
			if workload, err = workloads.Update(ctx, workload, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		group.Go(func() error {
			events := clients.Kube.CoreV1().Events(s.key.Namespace)
			for i := range kueueEvents {
				_, err := events.Create(ctx, &corev1.Event{
					ObjectMeta:     metav1.ObjectMeta{GenerateName: s.run + "."},
					InvolvedObject: corev1.ObjectReference{Kind: "PipelineRun", Namespace: s.key.Namespace, Name: s.run},
					Type:           corev1.EventTypeNormal, Reason: "Admitted", Message: fmt.Sprintf("event %d of %d", i+1, kueueEvents),
				}, metav1.CreateOptions{})
				if err != nil && ctx.Err() == nil {
					return err
				}
			}
			return nil
		})
		return nil
	}
}
