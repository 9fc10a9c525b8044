package board_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/integration/fixture"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack"
)

// upgrade changes values of the chart for the rest of the test.
func upgrade(t *testing.T, values, afterwards []string) {
	t.Helper()
	fixture.Must(t, site.Addon.Upgrade(t.Context(), values...))
	t.Cleanup(func() { fixture.Must(t, site.Addon.Upgrade(context.WithoutCancel(t.Context()), afterwards...)) })
}

// newReader creates an account that may list the PipelineRuns of some namespaces, and returns its
// token.
func newReader(t *testing.T, name string, namespaces ...string) string {
	t.Helper()
	const home = "default"
	_, err := site.Kube.CoreV1().ServiceAccounts(home).Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}, metav1.CreateOptions{})
	fixture.Must(t, err)
	for _, namespace := range namespaces {
		_, err := site.Kube.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{"tekton.dev"}, Resources: []string{"pipelineruns"}, Verbs: []string{"list"},
			}},
		}, metav1.CreateOptions{})
		fixture.Must(t, err)
		_, err = site.Kube.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: home, Name: name}},
		}, metav1.CreateOptions{})
		fixture.Must(t, err)
	}
	config, err := site.ServiceAccountConfig(t.Context(), home, name)
	fixture.Must(t, err)
	return config.BearerToken
}

// ask asks for a page with a header.
func ask(t *testing.T, path, header, value string) (body string, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url(path), nil)
	fixture.Must(t, err)
	request.Header.Set(header, value)
	answer, err := http.DefaultClient.Do(request)
	fixture.Must(t, err)
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	fixture.Must(t, err)
	return string(all), answer.StatusCode
}

// TestKubernetesDecides: with board.auth=kubernetes, a reader sees the queues of the namespaces
// whose PipelineRuns it may list, whichever header has its token, and nobody else sees anything.
func TestKubernetesDecides(t *testing.T) {
	for _, namespace := range []string{"mine", "theirs"} {
		site.NewQueue(t, namespace, 1)
		site.Push(t, namespace, "a", "b")
	}
	upgrade(t, []string{"board.auth=kubernetes"}, []string{"board.auth=none"})
	token, nobody := newReader(t, "reader", "mine"), newReader(t, "nobody")
	const bearer, forwarded = "Authorization", "X-Forwarded-Access-Token"
	for _, header := range []string{bearer, forwarded} {
		value := token
		if header == bearer {
			value = "Bearer " + token
		}
		for path, want := range map[string]int{
			"/": 200, "/mine/shop": 200, "/mine/runs/b": 200, "/theirs/shop": 403, "/theirs/runs/b": 403,
			"/-/live/theirs/shop": 403, "/api/v1/namespaces/theirs/queues/shop": 403, "/api/v1/queues": 200,
		} {
			body, status := ask(t, path, header, value)
			if status != want || strings.Contains(body, "theirs/") {
				t.Errorf("%s by %s: status %d, want %d:\n%s", path, header, status, want, body)
			}
			if path == "/" && !strings.Contains(body, "/mine/shop") {
				t.Errorf("the list lacks its own queue:\n%s", body)
			}
		}
	}
	for what, value := range map[string]string{
		"no token": "", "a wrong token": "Bearer x.y.z", "too long a token": "Bearer " + strings.Repeat("x", 20<<10),
	} {
		for _, path := range []string{"/", "/mine/shop", "/-/live/", "/api/v1/queues"} {
			if _, status := ask(t, path, bearer, value); status != http.StatusUnauthorized {
				t.Errorf("%s with %s: status %d", path, what, status)
			}
		}
	}
	if body, status := ask(t, "/", bearer, "Bearer "+nobody); status != 200 || strings.Contains(body, "/shop") {
		t.Errorf("one who may see nothing: status %d:\n%s", status, body)
	}
}

// TestSomeNamespaces: with board.namespaces, the board's account has rights in those only, and
// shows no other.
func TestSomeNamespaces(t *testing.T) {
	for _, namespace := range []string{"shown", "hidden"} {
		site.NewQueue(t, namespace, 1)
		site.Push(t, namespace, "a", "b")
	}
	upgrade(t, []string{"board.namespaces={shown}"}, []string{"board.namespaces=null"})
	fixture.Eventually(t, deadline, "one queue", func() error {
		body, status := get(t, "/api/v1/queues")
		if status != http.StatusOK || !strings.Contains(body, `"shown"`) || strings.Contains(body, "hidden") {
			return fmt.Errorf("status %d: %s", status, body)
		}
		return nil
	})
	if body, status := get(t, "/hidden/shop"); status != http.StatusNotFound {
		t.Errorf("another namespace: status %d:\n%s", status, body)
	}
}

// TestAccount: the board's account reads, and no secrets. With board.auth=kubernetes, it also asks
// who readers are.
func TestAccount(t *testing.T) {
	site.Needed(t)
	account, err := site.ServiceAccountConfig(t.Context(), site.Addon.Namespace(), "pac-lease-queue-board")
	fixture.Must(t, err)
	clients, err := fixture.NewClients(account)
	fixture.Must(t, err)
	upgrade(t, []string{"board.auth=kubernetes"}, []string{"board.auth=none"})
	for _, namespace := range []string{site.Addon.Namespace(), stack.PACNamespace, "default"} {
		review, err := clients.Kube.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(),
			&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}},
			metav1.CreateOptions{})
		fixture.Must(t, err)
		reads := false
		for _, rule := range review.Status.ResourceRules {
			asks := slices.Contains([]string{"authentication.k8s.io", "authorization.k8s.io"}, rule.APIGroups[0])
			for _, verb := range rule.Verbs {
				if !slices.Contains([]string{"get", "list", "watch"}, verb) && !(asks && verb == "create") {
					t.Errorf("in %s, the board may %s %s", namespace, verb, rule.Resources)
				}
			}
			if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "*") {
				t.Errorf("in %s, the board may %s %s", namespace, rule.Verbs, rule.Resources)
			}
			reads = reads || slices.Contains(rule.Resources, "pipelineruns")
		}
		if !reads {
			t.Errorf("in %s, the board may not see runs: this is not its account", namespace)
		}
	}
}
