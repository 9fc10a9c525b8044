package runqueue

import (
	"context"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	"github.com/pac-lease-queue/pac-lease-queue/addon/api/v1alpha1"
	"github.com/pac-lease-queue/pac-lease-queue/addon/codec"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

// resource is what the API server lists.
const resource = "runqueues"

// Client reads and writes the RunQueues of a cluster. It is safe for concurrent use.
type Client struct {
	rest   rest.Interface
	params runtime.ParameterCodec
}

// NewClient returns a client of the cluster that the configuration names, over a connection of its
// own.
func NewClient(config *rest.Config) (*Client, error) {
	connection, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for RunQueues: %w", err)
	}
	return NewClientOver(config, connection)
}

// NewClientOver returns a client of the cluster that the configuration names, over that connection.
func NewClientOver(config *rest.Config, connection *http.Client) (*Client, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	client, err := rest.RESTClientForConfigAndClient(codec.For(config, v1alpha1.GroupVersion, scheme), connection)
	if err != nil {
		return nil, fmt.Errorf("client for RunQueues: %w", err)
	}
	return &Client{rest: client, params: runtime.NewParameterCodec(scheme)}, nil
}

// In returns the RunQueues of a namespace; of all namespaces if it is empty.
func (c *Client) In(namespace string) *gentype.ClientWithList[*v1alpha1.RunQueue, *v1alpha1.RunQueueList] {
	return gentype.NewClientWithList(resource, c.rest, c.params, namespace,
		func() *v1alpha1.RunQueue { return &v1alpha1.RunQueue{} },
		func() *v1alpha1.RunQueueList { return &v1alpha1.RunQueueList{} })
}

// Of is a RunQueue that wants nothing, owned by the Repository of that UID.
func Of(key queue.Key, repository types.UID) *v1alpha1.RunQueue {
	return &v1alpha1.RunQueue{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RunQueue"},
		ObjectMeta: metav1.ObjectMeta{Name: key.Repository, Namespace: key.Namespace, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository", Name: key.Repository, UID: repository,
		}}},
	}
}

// Get reads one RunQueue; nil if there is none.
func (c *Client) Get(ctx context.Context, key queue.Key) (*v1alpha1.RunQueue, error) {
	rq, err := c.In(key.Namespace).Get(ctx, key.Repository, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return rq, err
}

// Served says whether the API server has RunQueues. An error answers nothing.
func (c *Client) Served(ctx context.Context, namespace string) (bool, error) {
	_, err := c.In(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
