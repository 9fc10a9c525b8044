package stack

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// tokenSeconds is the validity of a ServiceAccount's token: longer than any stack runs.
const tokenSeconds = 24 * 60 * 60

// ServiceAccountConfig returns a client configuration with a token of a ServiceAccount, without
// client-side rate limits.
func (s *Stack) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	token, err := s.serviceAccountToken(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return s.config(token), nil
}

func (s *Stack) serviceAccountToken(ctx context.Context, namespace, name string) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenSeconds))}}
	answer, err := s.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return answer.Status.Token, nil
}
