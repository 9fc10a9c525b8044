package stack

import (
	"context"
	"fmt"
	"time"

	pac "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/provider"
)

// namespaceDeadline bounds how long a new namespace takes to get its default ServiceAccount.
const namespaceDeadline = 30 * time.Second

// PACRepository is a Repository of PAC for a Git repository.
type PACRepository struct {
	Namespace string
	Name      string
	Git       provider.Repository

	client pac.Interface
}

// NewPACRepository creates a Repository for a Git repository, with the Secret that PAC needs, and
// its namespace if that is missing. Without a limit (nil) its runs do not queue.
func (s *Stack) NewPACRepository(ctx context.Context, namespace, name string, git provider.Repository, limit *int) (*PACRepository, error) {
	if err := s.NewNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	client, err := pac.NewForConfig(s.Config(Admin))
	if err != nil {
		return nil, err
	}
	secret, repository := git.Access().Repository(name, limit)
	if _, err := s.kube.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	if _, err := client.PipelinesascodeV1alpha1().Repositories(namespace).Create(ctx, repository, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	return &PACRepository{Namespace: namespace, Name: name, Git: git, client: client}, nil
}

// SetLimit changes the concurrency limit; nil removes it.
func (r *PACRepository) SetLimit(ctx context.Context, limit *int) error {
	value := "null"
	if limit != nil {
		value = fmt.Sprint(*limit)
	}
	patch := fmt.Appendf(nil, `{"spec":{"concurrency_limit":%s}}`, value)
	_, err := r.client.PipelinesascodeV1alpha1().Repositories(r.Namespace).
		Patch(ctx, r.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// Delete deletes the Repository.
func (r *PACRepository) Delete(ctx context.Context) error {
	return r.client.PipelinesascodeV1alpha1().Repositories(r.Namespace).Delete(ctx, r.Name, metav1.DeleteOptions{})
}

// NewNamespace creates a namespace if it is missing, and waits until Tekton can run pods in it.
func (s *Stack) NewNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := s.kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if !s.opts.Components.has(ControllerManager) {
		return nil
	}
	return until(ctx, "the default ServiceAccount of "+name, namespaceDeadline, func(ctx context.Context) error {
		_, err := s.kube.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}
