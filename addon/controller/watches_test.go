package controller

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/keys"
	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	pacfake "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/clientset/versioned/fake"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// TestMain has informers list and then watch: the fake clients of Tekton and PAC cannot stream a
// list.
func TestMain(m *testing.M) {
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestWritesThatChangeNothingWakeNothing: what PAC and users note on PAC's ConfigMaps and on the
// Repositories in PAC's namespace is no news to all the queues of the cluster.
func TestWritesThatChangeNothingWakeNothing(t *testing.T) {
	const ofPAC = "pipelines-as-code"
	kube, paas := fake.NewClientset(), pacfake.NewSimpleClientset()
	configMaps, repositories := kube.CoreV1().ConfigMaps(ofPAC), paas.PipelinesascodeV1alpha1().Repositories(ofPAC)
	w, err := newWatches(&clients{kube: kube, tekton: tektonfake.NewSimpleClientset(), pac: paas}, "", ofPAC, config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	all := []queue.Key{{Namespace: "shop", Repository: "app"}, {Namespace: "bank", Repository: "app"}}
	woken := make(chan queue.Key, 100)
	l := listener{changed: func(key queue.Key, _ bool) { woken <- key }, allChanged: func(queue.Key) {
		for _, key := range all {
			woken <- key
		}
	}}
	if err := w.each(l, func() string { return ofPAC }); err != nil {
		t.Fatal(err)
	}
	if err := w.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	// wakes says that the last of the writes wakes all queues, and the others none: an informer
	// tells of them in their order.
	wakes := func(what string, writes ...func() error) {
		t.Helper()
		for _, write := range writes {
			if err := write(); err != nil {
				t.Fatal(err)
			}
		}
		for i, key := range all {
			select {
			case is := <-woken:
				if is != key {
					t.Fatalf("%s: queue %s is woken as number %d, want %s of %v", what, is, i+1, key, all)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: %d queues are woken, want %v", what, i, all)
			}
		}
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ofPAC, Name: pac.SettingsName}, Data: map[string]string{"a": "1"}}
	updateSettings := func(change func()) func() error {
		return func() error {
			change()
			_, err := configMaps.Update(t.Context(), cm.DeepCopy(), metav1.UpdateOptions{})
			return err
		}
	}
	wakes("a new ConfigMap", func() error {
		_, err := configMaps.Create(t.Context(), cm, metav1.CreateOptions{})
		return err
	})
	wakes("annotations of a ConfigMap",
		updateSettings(func() { cm.Annotations = map[string]string{"seen": "1"} }),
		updateSettings(func() { cm.Annotations["seen"] = "2" }),
		updateSettings(func() { cm.Data["a"] = "2" }))
	wakes("the end of a ConfigMap",
		func() error { return configMaps.Delete(t.Context(), pac.SettingsName, metav1.DeleteOptions{}) })
	r := &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Namespace: ofPAC, Name: "own"}}
	update := func(change func()) func() error {
		return func() error {
			change()
			_, err := repositories.Update(t.Context(), r.DeepCopy(), metav1.UpdateOptions{})
			return err
		}
	}
	wakes("a new Repository", func() error {
		_, err := repositories.Create(t.Context(), r, metav1.CreateOptions{})
		return err
	})
	wakes("an annotation of a Repository",
		update(func() { r.Annotations = map[string]string{"seen": "1"} }),
		update(func() { r.Spec.ConcurrencyLimit = ptr.To(2) }))
	wakes("the limit of a Repository", update(func() { r.Spec.ConcurrencyLimit = nil }))
}

// TestLeavingAQueue: a slot that becomes another queue's is news to the queue that it was in.
func TestLeavingAQueue(t *testing.T) {
	kube := fake.NewClientset()
	leases := kube.CoordinationV1().Leases("shop")
	w, err := newWatches(&clients{kube: kube, tekton: tektonfake.NewSimpleClientset(), pac: pacfake.NewSimpleClientset()}, "", "ofpac",
		config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan queue.Key, 100)
	l := listener{
		changed: func(key queue.Key, _ bool) { woken <- key }, allChanged: func(queue.Key) {}, progress: func(queue.Key, string) {},
	}
	if err := w.each(l, func() string { return "ofpac" }); err != nil {
		t.Fatal(err)
	}
	if err := w.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	slot := func(of string) *coordinationv1.Lease {
		return lease.Relabel(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: lease.Name("app", 0), OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository", Name: of, UID: "1"},
			},
		}})
	}
	expect := func(what string, err error, want string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		select {
		case key := <-woken:
			if key.Repository != want {
				t.Errorf("%s: told %s, want %s", what, key.Repository, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nothing is told, want %s", what, want)
		}
	}
	_, err = leases.Create(t.Context(), slot("app"), metav1.CreateOptions{})
	expect("a new slot", err, "app")
	_, err = leases.Update(t.Context(), slot("web"), metav1.UpdateOptions{})
	expect("a slot whose owner is not the one that its name says", err, "app")
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
	w, err := newWatches(&clients{kube: kube, tekton: tektonfake.NewSimpleClientset(), pac: pacfake.NewSimpleClientset()}, "shop", "ofpac",
		config.Environment{PACConfigMaps: []string{"ghe", "absent"}})
	if err != nil {
		t.Fatal(err)
	}
	// A factory starts the informers that have been asked for.
	if err := w.each(listener{allChanged: func(queue.Key) {}}, func() string { return "ofpac" }); err != nil {
		t.Fatal(err)
	}
	if err := w.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	is := w.controllers("ofpac")
	if _, absent := is.Further["absent"]; is.Unseen || absent || !is.Default.CancelInProgress.OnPullRequest ||
		is.Default.CancelInProgress.OnPush || !is.Further["ghe"].CancelInProgress.OnPush || len(is.Further) != 1 {
		t.Errorf("%+v", is)
	}
	if !w.controllers("elsewhere").Unseen {
		t.Error("PAC is found where it is not")
	}
}

// TestProgress: what replicas write is told along with who wrote it, and what others write is not.
func TestProgress(t *testing.T) {
	type told struct {
		queue.Key
		replica string
	}
	var progress []told
	l := listener{progress: func(key queue.Key, replica string) { progress = append(progress, told{key, replica}) }}
	slot := func(edits ...func(*coordinationv1.Lease)) *coordinationv1.Lease {
		l := lease.Relabel(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: lease.Name("app", 0), Annotations: map[string]string{"pac-lease-queue.dev/replica": "one"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "pipelinesascode.tekton.dev/v1alpha1", Kind: "Repository", Name: "app"}},
		}})
		for _, edit := range edits {
			edit(l)
		}
		return l
	}
	whole := func(annotations ...string) *tektonv1.PipelineRun {
		pr := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "a", Annotations: map[string]string{keys.Repository: "app", pac.HeldOrder: "shop/a"},
		}}
		for i := 0; i < len(annotations); i += 2 {
			pr.Annotations[annotations[i]] = annotations[i+1]
		}
		return pr
	}
	cached := func(pr *tektonv1.PipelineRun) any {
		is, err := pac.CacheRun(pr)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	run := func(annotations ...string) any { return cached(whole(annotations...)) }
	claimed := func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity, l.Spec.LeaseTransitions = ptr.To("a"), ptr.To(int32(1))
		l.Annotations["pac-lease-queue.dev/run-uid"], l.Annotations["pac-lease-queue.dev/attempt"] = "uid-a", "0"
	}
	byHand := func(l *coordinationv1.Lease) { l.Annotations["touched"] = "1" }
	handedBack := whole()
	delete(handedBack.Annotations, pac.HeldOrder)
	for name, tc := range map[string]struct {
		was, is any
		replica string
		told    bool
	}{
		"a slot is made":       {nil, slot(claimed), "one", true},
		"a slot is claimed":    {slot(), slot(claimed), "one", true},
		"a slot is emptied":    {slot(claimed), slot(), "one", true},
		"a slot is annotated":  {slot(), slot(byHand), "", false},
		"a run comes":          {nil, run(), "", false},
		"a run is started":     {run(), run(pac.Claim, "0/1/0", pac.Replica, "two"), "two", true},
		"a run is stamped":     {run(), run(pac.Arrived, "17"), "", true},
		"a run is fenced":      {run(), run(pac.Attempt, "1"), "", true},
		"a run is handed back": {run(), cached(handedBack), "", true},
		"a run names somebody": {run(pac.Claim, "0/1/0"), run(pac.Claim, "0/1/0", pac.Replica, "two"), "", false},
		"a run is told":        {run(), run(pac.Status, "queued"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			progress = nil
			l.moved(tc.was, tc.is)
			var want []told
			if tc.told {
				want = []told{{queue.Key{Namespace: "shop", Repository: "app"}, tc.replica}}
			}
			if diff := cmp.Diff(want, progress, cmp.AllowUnexported(told{})); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}
