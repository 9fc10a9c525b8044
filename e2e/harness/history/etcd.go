package history

import (
	"context"
	"fmt"
	"strconv"
	"time"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// stored is a kind of object as the API server keeps it in etcd.
type stored struct {
	prefix   string
	selector string
}

// kinds are recorded. etcd keeps custom resources as JSON of their storage version and Leases as
// protobuf; both name their type.
var kinds = []stored{
	{prefix: "/registry/pipelinesascode.tekton.dev/repositories/"},
	{prefix: "/registry/tekton.dev/pipelineruns/"},
	{prefix: "/registry/pac-lease-queue.dev/runqueues/"},
	{prefix: "/registry/leases/", selector: lease.Selector},
}

// etcdDeadline bounds the first request to etcd.
const etcdDeadline = 10 * time.Second

// RecordEtcd is Record for a cluster whose etcd is within reach. API servers may come and go: etcd
// hands out every revision, each of which is one resourceVersion, and the record has a hole only if
// etcd compacts revisions before they are read, which takes minutes. Given namespaces, it records
// nothing else.
func RecordEtcd(ctx context.Context, endpoint string, namespaces ...string) (*Recorder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, tektonv1.AddToScheme, pacv1alpha1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("record: etcd: %w", err)
	}
	r, ctx := newRecorder(ctx)
	context.AfterFunc(ctx, func() { _ = client.Close() })
	decoder := serializer.NewCodecFactory(scheme).UniversalDeserializer()
	for _, kind := range kinds {
		if err := r.followKind(ctx, client, decoder, kind, namespaces); err != nil {
			r.Stop()
			return nil, fmt.Errorf("record: etcd: %w", err)
		}
	}
	return r, nil
}

// followKind records one kind, in the given namespaces or in all.
func (r *Recorder) followKind(
	ctx context.Context, client *clientv3.Client, decoder runtime.Decoder, kind stored, namespaces []string,
) error {
	selector, err := labels.Parse(kind.selector)
	if err != nil {
		return err
	}
	prefixes := []string{kind.prefix}
	if len(namespaces) > 0 {
		prefixes = nil
		for _, namespace := range namespaces {
			prefixes = append(prefixes, kind.prefix+namespace+"/")
		}
	}
	for _, prefix := range prefixes {
		if err := r.followEtcd(ctx, client, etcdReader{decoder, selector}, prefix); err != nil {
			return err
		}
	}
	return nil
}

// followEtcd records what exists and then every change.
func (r *Recorder) followEtcd(ctx context.Context, client *clientv3.Client, reader etcdReader, prefix string) error {
	reaching, cancel := context.WithTimeout(ctx, etcdDeadline)
	defer cancel()
	existing, err := client.Get(reaching, prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, kv := range existing.Kvs {
		if err := r.addEtcd(reader, kv, nil); err != nil {
			return err
		}
	}
	r.done.Go(func() {
		// The client resumes a broken watch by itself, from where it broke.
		watch := client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithRev(existing.Header.Revision+1))
		for answer := range watch {
			err := answer.Err()
			for _, event := range answer.Events {
				if err == nil {
					err = r.addEtcd(reader, event.Kv, event.PrevKv)
				}
			}
			if err != nil && ctx.Err() == nil {
				r.problem(fmt.Errorf("the record has a hole: etcd, %s: %w", prefix, err))
				return
			}
		}
		if ctx.Err() == nil {
			r.problem(fmt.Errorf("the record has a hole: etcd ended the watch of %s", prefix))
		}
	})
	return nil
}

// addEtcd records one change. An object that the selector no longer matches counts as gone, as it
// does for a watch with that selector.
func (r *Recorder) addEtcd(reader etcdReader, is, was *mvccpb.KeyValue) error {
	now, err := reader.read(is, is.ModRevision)
	if err != nil {
		return err
	}
	if now != nil {
		return r.add(now, false)
	}
	if was == nil {
		return nil
	}
	// The version of a deletion is the revision that deleted.
	before, err := reader.read(was, is.ModRevision)
	if err != nil || before == nil {
		return err
	}
	return r.add(before, true)
}

// etcdReader decodes stored objects.
type etcdReader struct {
	decoder  runtime.Decoder
	selector labels.Selector
}

// read returns the object, or nil if there is none or the selector does not match. The stored text
// has no resourceVersion: that is the revision of the write.
func (e etcdReader) read(kv *mvccpb.KeyValue, revision int64) (runtime.Object, error) {
	if len(kv.Value) == 0 {
		return nil, nil
	}
	o, _, err := e.decoder.Decode(kv.Value, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kv.Key, err)
	}
	object, err := meta.Accessor(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kv.Key, err)
	}
	if !e.selector.Matches(labels.Set(object.GetLabels())) {
		return nil, nil
	}
	object.SetResourceVersion(strconv.FormatInt(revision, 10))
	return o, nil
}
