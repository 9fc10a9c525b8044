package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"knative.dev/pkg/hash"

	addonconfig "github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// What the add-on's log says. knative makes up an identity for leader election
// and tells nobody but the log which replica it belongs to.
const (
	logIdentity = "will run in leader-elected mode with id"
	logTakeover = "recovery takes over a queue"
	logLeading  = "has started leading"
)

// leader returns the replica that leads the queue.
func leader(ctx context.Context, s *stack.Stack, addon *stack.Addon, key queue.Key) (*stack.Replica, error) {
	leases, err := s.Kubernetes().CoordinationV1().Leases(addon.Namespace()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	holders := map[string]string{}
	buckets := sets.New[string]()
	for _, l := range leases.Items {
		if strings.HasPrefix(l.Name, addonconfig.Component+".") && l.Spec.HolderIdentity != nil {
			holders[l.Name] = *l.Spec.HolderIdentity
			buckets.Insert(l.Name)
		}
	}
	if len(buckets) == 0 {
		return nil, fmt.Errorf("no Lease of leader election in namespace %s has a holder", addon.Namespace())
	}
	bucket := hash.NewBucketSet(buckets).Owner(types.NamespacedName{Namespace: key.Namespace, Name: key.Repository}.String())
	for _, r := range addon.Replicas() {
		lines, err := logLines(r, 0, logIdentity, holders[bucket])
		if err != nil {
			return nil, err
		}
		if len(lines) > 0 && r.Running() {
			return r, nil
		}
	}
	return nil, fmt.Errorf("the Lease %s is held by %q, which is no replica that runs", bucket, holders[bucket])
}

// heir returns the replica that first went on with the queue after the lengths
// that the logs had then, or nil.
func heir(addon *stack.Addon, key queue.Key, logs map[string]int64) (r *stack.Replica, leads bool, err error) {
	for _, r := range addon.Replicas() {
		if !r.Running() {
			continue
		}
		overdue, err := logLines(r, logs[r.Name()], logTakeover, key.String())
		if err != nil {
			return nil, false, err
		}
		leading, err := logLines(r, logs[r.Name()], logLeading)
		if err != nil {
			return nil, false, err
		}
		if len(overdue)+len(leading) > 0 {
			return r, len(overdue) == 0, nil
		}
	}
	return nil, false, nil
}

// logLines returns the lines of a replica's log from an offset on that contain
// all of the words.
func logLines(r *stack.Replica, offset int64, words ...string) ([]string, error) {
	text, err := os.ReadFile(r.LogFile())
	if err != nil || int64(len(text)) < offset {
		return nil, err
	}
	var lines []string
	for line := range bytes.Lines(text[offset:]) {
		all := true
		for _, w := range words {
			all = all && w != "" && bytes.Contains(line, []byte(w))
		}
		if all {
			lines = append(lines, string(line))
		}
	}
	return lines, nil
}

// logLengths returns how long the logs of the replicas are.
func logLengths(addon *stack.Addon) (map[string]int64, error) {
	lengths := map[string]int64{}
	var errs []error
	for _, r := range addon.Replicas() {
		info, err := os.Stat(r.LogFile())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		lengths[r.Name()] = info.Size()
	}
	return lengths, errors.Join(errs...)
}
