package watches

import (
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

	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// TestWritesThatChangeNothingWakeNothing: what PAC and users note on PAC's ConfigMaps and on the
// Repositories in PAC's namespace is no news to all the queues of the cluster.
func TestWritesThatChangeNothingWakeNothing(t *testing.T) {
	const ofPAC = "pipelines-as-code"
	kube, paas := fake.NewClientset(), pacfake.NewSimpleClientset()
	configMaps, repositories := kube.CoreV1().ConfigMaps(ofPAC), paas.PipelinesascodeV1alpha1().Repositories(ofPAC)
	w, err := New(Clients{Kube: kube, Tekton: tektonfake.NewSimpleClientset(), PAC: paas},
		Want{PAC: &PAC{Namespace: ofPAC, ConfigMaps: []string{pac.SettingsName}}})
	if err != nil {
		t.Fatal(err)
	}
	all := []queue.Key{{Namespace: "shop", Repository: "app"}, {Namespace: "bank", Repository: "app"}}
	woken := make(chan queue.Key, 100)
	l := Listener{Changed: func(key queue.Key, _ bool) { woken <- key }, AllChanged: func(queue.Key) {
		for _, key := range all {
			woken <- key
		}
	}}
	if err := l.Follow(w, func() string { return ofPAC }); err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context()); err != nil {
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
	w, err := New(Clients{Kube: kube, Tekton: tektonfake.NewSimpleClientset(), PAC: pacfake.NewSimpleClientset()},
		Want{PAC: &PAC{Namespace: "ofpac", ConfigMaps: []string{pac.SettingsName}}})
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan queue.Key, 100)
	l := Listener{Changed: func(key queue.Key, _ bool) { woken <- key }, AllChanged: func(queue.Key) {}}
	if err := l.Follow(w, func() string { return "ofpac" }); err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context()); err != nil {
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

// TestProgress: what replicas write is told along with who wrote it, and what others write is not.
func TestProgress(t *testing.T) {
	type told struct {
		queue.Key
		replica string
	}
	var progress []told
	l := Listener{Progress: func(key queue.Key, replica string) { progress = append(progress, told{key, replica}) }}
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
			l.Moved(tc.was, tc.is)
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
