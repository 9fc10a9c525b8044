package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// clear deletes what the tenants have made, as far as they can be without it, and has etcd forget
// it.
func (s *siege) clear(ctx context.Context) error {
	for _, resource := range []schema.GroupVersionResource{repositories, pipelineRuns, leases, events, configMaps} {
		for _, t := range s.tenants {
			if err := s.clearOne(ctx, resource, t.namespace); err != nil {
				return err
			}
		}
	}
	status, err := s.etcd.Status(ctx, s.EtcdURL())
	if err == nil {
		_, err = s.etcd.Compact(ctx, status.Header.Revision-compactLag)
	}
	if err != nil && !strings.Contains(err.Error(), "compacted") { // the API server does so, too
		return fmt.Errorf("compact etcd: %w", err)
	}
	return nil
}

const (
	// clearHands is how many objects are deleted at a time.
	clearHands = 8
	// compactLag is how many of the latest revisions stay, for watches that are behind.
	compactLag = 1000
)

func (s *siege) clearOne(ctx context.Context, resource schema.GroupVersionResource, namespace string) error {
	client := s.metadata.Resource(resource).Namespace(namespace)
	for {
		list, err := client.List(ctx, metav1.ListOptions{Limit: 500})
		if err != nil {
			return err
		}
		var deleting errgroup.Group
		deleting.SetLimit(clearHands)
		left := 0
		for _, o := range list.Items {
			if resource == configMaps && o.GetName() == "kube-root-ca.crt" {
				continue
			}
			left++
			deleting.Go(func() error {
				if len(o.GetFinalizers()) > 0 {
					none := []byte(`{"metadata":{"finalizers":null}}`)
					if _, err := client.Patch(ctx, o.GetName(), types.MergePatchType, none, metav1.PatchOptions{}); err != nil {
						return ignoreGone(err)
					}
				}
				return ignoreGone(client.Delete(ctx, o.GetName(), metav1.DeleteOptions{}))
			})
		}
		if err := deleting.Wait(); err != nil {
			return err
		}
		if left == 0 && list.GetContinue() == "" {
			return nil
		}
	}
}
