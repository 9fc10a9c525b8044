package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonclient "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/typed/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/apis"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// runClient is a replica's client of PipelineRuns.
type runClient struct {
	tektonclient.PipelineRunInterface // what is not used panics
	replica                           *replica
	namespace                         string
}

type runGetter struct{ *replica }

func (g runGetter) PipelineRuns(namespace string) tektonclient.PipelineRunInterface {
	return runClient{replica: g.replica, namespace: namespace}
}

func (c runClient) Get(_ context.Context, name string, _ metav1.GetOptions) (*tektonv1.PipelineRun, error) {
	return call(c.replica, "get", runs, c.namespace, name, func(s *server, _ *request) (*tektonv1.PipelineRun, error) {
		return s.run(c.namespace, name)
	})
}

// listRunMetadata is a pac.ListMetadata.
func (r *replica) listRunMetadata(_ context.Context, namespace string, o metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	selector, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, err
	}
	return call(r, "list", runs, namespace, "", func(s *server, q *request) (*metav1.PartialObjectMetadataList, error) {
		if !strings.HasPrefix(o.LabelSelector, pac.QueueLabel) { // a look lists PAC's runs before the others
			q.pass.sawRuns = len(s.history[runs])
		}
		list := &metav1.PartialObjectMetadataList{}
		for _, o := range s.list(runs, namespace, selector) {
			m := metav1.PartialObjectMetadata{ObjectMeta: *o.(*tektonv1.PipelineRun).ObjectMeta.DeepCopy()}
			if r.cluster.mutant.anyVersion {
				m.ResourceVersion = "1"
			}
			list.Items = append(list.Items, m)
		}
		return list, nil
	})
}

func (c runClient) Patch(
	_ context.Context, name string, t types.PatchType, body []byte, _ metav1.PatchOptions, sub ...string,
) (*tektonv1.PipelineRun, error) {
	if t != types.MergePatchType || len(sub) > 0 {
		panic(fmt.Sprintf("a patch of type %s, of %v, is not simulated", t, sub))
	}
	body = c.replica.cluster.mutant.patch(c.replica, body)
	return call(c.replica, "patch", runs, c.namespace, name, func(s *server, q *request) (*tektonv1.PipelineRun, error) {
		return s.patchRun(c.namespace, name, body, q)
	})
}

func (s *server) run(namespace, name string) (*tektonv1.PipelineRun, error) {
	o, ok := s.objects[runs][namespace+"/"+name]
	if !ok {
		return nil, apierrors.NewNotFound(resources[runs], name)
	}
	return o.(*tektonv1.PipelineRun).DeepCopy(), nil
}

// patchRun is a JSON merge patch. Like in the real server, a UID or a
// resourceVersion in it is a precondition, and what changes nothing is not
// written.
func (s *server) patchRun(namespace, name string, body []byte, by *request) (*tektonv1.PipelineRun, error) {
	was, err := s.run(namespace, name)
	if err != nil {
		return nil, err
	}
	var patch map[string]any
	if err := json.Unmarshal(body, &patch); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	meta, _ := patch["metadata"].(map[string]any)
	for _, must := range [][2]string{{"uid", string(was.UID)}, {"resourceVersion", was.ResourceVersion}} {
		if wanted, given := meta[must[0]]; given && wanted != must[1] {
			return nil, apierrors.NewConflict(resources[runs], name, fmt.Errorf("%s is %s, not %v", must[0], must[1], wanted))
		}
	}
	before := asMap(was)
	after := merge(asMap(was), patch)
	if reflect.DeepEqual(before, after) {
		return was, nil
	}
	var is tektonv1.PipelineRun
	if err := convert(after, &is); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if was.IsPending() && s.rejected[was.UID] && (!is.IsPending() || waitsForKueue(&is)) && !waitsForKueue(was) {
		return nil, apierrors.NewForbidden(resources[runs], name, errors.New("the policy of this cluster does not let it start"))
	}
	// Tekton's own webhook.
	if problem := is.Validate(apis.WithinUpdate(context.Background(), was)); problem != nil {
		return nil, apierrors.NewBadRequest("admission webhook denied the request: " + problem.Error())
	}
	stored := s.replace(runs, s.objects[runs][id(was)], &is, by)
	return stored.(*tektonv1.PipelineRun).DeepCopy(), nil
}

// merge is RFC 7386.
func merge(into, patch map[string]any) map[string]any {
	if into == nil {
		into = map[string]any{}
	}
	for key, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(into, key)
		case map[string]any:
			below, _ := into[key].(map[string]any)
			into[key] = merge(below, value)
		default:
			into[key] = value
		}
	}
	return into
}

func asMap(o any) map[string]any {
	var m map[string]any
	if err := convert(o, &m); err != nil {
		panic(err)
	}
	return m
}

func convert(from, to any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}
