package watches

import (
	"os"
	"testing"

	pacfake "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned/fake"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// TestMain has informers list and then watch: the fake clients of Tekton and PAC cannot stream a
// list.
func TestMain(m *testing.M) {
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestControllersAreRead: each ConfigMap has the settings of one controller.
func TestControllersAreRead(t *testing.T) {
	settings := func(name, key string) *corev1.ConfigMap {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ofpac", Name: name}, Data: map[string]string{key: "true"},
		}
	}
	const onPush, onPullRequests = "enable-cancel-in-progress-on-push", "enable-cancel-in-progress-on-pull-requests"
	kube := fake.NewClientset(settings("ghe", onPush), settings("unread", onPush), settings(pac.SettingsName, onPullRequests))
	w, err := New(
		Clients{Kube: kube, Tekton: tektonfake.NewSimpleClientset(), PAC: pacfake.NewSimpleClientset()},
		Want{Namespace: "shop", PAC: &PAC{Namespace: "ofpac", ConfigMaps: []string{pac.SettingsName, "ghe", "absent"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	is := w.Controllers("ofpac")
	if _, absent := is.Further["absent"]; is.Unseen || absent || !is.Default.CancelInProgress.OnPullRequest ||
		is.Default.CancelInProgress.OnPush || !is.Further["ghe"].CancelInProgress.OnPush || len(is.Further) != 1 {
		t.Errorf("%+v", is)
	}
	if !w.Controllers("elsewhere").Unseen {
		t.Error("PAC is found where it is not")
	}
}
