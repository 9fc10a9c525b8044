package simulation

import (
	"context"

	pacv1alpha1 "github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacclient "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned/typed/pipelinesascode/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// repositoryClient is a replica's client of Repositories.
type repositoryClient struct {
	pacclient.RepositoryInterface // what is not used panics
	replica                       *replica
	namespace                     string
}

type repositoryGetter struct{ *replica }

func (g repositoryGetter) Repositories(namespace string) pacclient.RepositoryInterface {
	return repositoryClient{replica: g.replica, namespace: namespace}
}

func (c repositoryClient) Get(_ context.Context, name string, _ metav1.GetOptions) (*pacv1alpha1.Repository, error) {
	return call(c.replica, "get", repositories, c.namespace, name, func(s *server, _ *request) (*pacv1alpha1.Repository, error) {
		r, ok := s.objects[repositories][c.namespace+"/"+name].(*pacv1alpha1.Repository)
		if !ok {
			return nil, apierrors.NewNotFound(resources[repositories], name)
		}
		return r.DeepCopy(), nil
	})
}
