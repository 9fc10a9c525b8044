package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"knative.dev/pkg/configmap"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/event"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store"
)

// replicaConfiguration is what one replica makes of its ConfigMap.
type replicaConfiguration struct {
	*testing.T
	kube    *fake.Clientset
	watcher *configmap.ManualWatcher
	recorded
	live    *configuration
	version int
}

// recorded are the events on the configuration, with type, reason and message.
type recorded []string

// Record implements event.Sink.
func (r *recorded) Record(e event.Event) {
	kind := corev1.EventTypeNormal
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	*r = append(*r, fmt.Sprintf("%s %s %s", kind, e.Reason, e.Message))
}

const tools, configName = "tools", "queue-config"

func newReplicaConfiguration(t *testing.T) *replicaConfiguration {
	return &replicaConfiguration{
		T: t, kube: fake.NewClientset(),
		watcher: &configmap.ManualWatcher{Namespace: tools},
	}
}

// write writes the ConfigMap in the cluster.
func (r *replicaConfiguration) write(data map[string]string) *corev1.ConfigMap {
	r.Helper()
	r.version++
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: tools, Name: configName, ResourceVersion: fmt.Sprint(r.version)}, Data: data,
	}
	configMaps := r.kube.CoreV1().ConfigMaps(tools)
	_, err := configMaps.Update(r.Context(), cm, metav1.UpdateOptions{})
	if err != nil {
		_, err = configMaps.Create(r.Context(), cm, metav1.CreateOptions{})
	}
	if err != nil {
		r.Fatal(err)
	}
	return cm
}

// start starts the replica with this ConfigMap; false if it was still waiting after some time.
func (r *replicaConfiguration) start(data map[string]string, within time.Duration) bool {
	r.Helper()
	r.write(data)
	ctx, stop := context.WithTimeout(r.Context(), within)
	defer stop()
	var err error
	r.live, err = watchConfiguration(ctx, r.kube, config.Environment{Namespace: tools, ConfigMap: configName}, r.watcher, &r.recorded)
	if err != nil && ctx.Err() == nil {
		r.Fatal(err)
	}
	return err == nil
}

// change changes the ConfigMap of the running replica.
func (r *replicaConfiguration) change(data map[string]string) { r.watcher.OnChange(r.write(data)) }

// wantWarnings fails the test unless the replica has warned just this often since the last call,
// each time with these words.
func (r *replicaConfiguration) wantWarnings(wanted ...string) {
	r.Helper()
	got := r.recorded
	r.recorded = nil
	for i := range max(len(wanted), len(got)) {
		if i >= len(got) || i >= len(wanted) || !strings.HasPrefix(got[i], "Warning ") || !strings.Contains(got[i], wanted[i]) {
			r.Errorf("the events are %q, want Warnings with %q", got, wanted)
			return
		}
	}
}

// T10: a replica starts whatever keys the ConfigMap has that it does not know.
func TestUnknownSettingKeepsNoReplicaFromStarting(t *testing.T) {
	r := newReplicaConfiguration(t)
	if !r.start(map[string]string{"of-a-newer-chart": "x", "claim-ttl": "45s"}, time.Minute) {
		t.Fatal("the replica did not start")
	}
	r.wantWarnings("of-a-newer-chart")
	if got := r.live.Get().Policy.ClaimTTL; got != 45*time.Second {
		t.Errorf("claim-ttl is %s", got)
	}
	// knative shows a watcher the ConfigMap that it has already read.
	r.watcher.OnChange(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: tools, Name: configName, ResourceVersion: "1"},
		Data:       map[string]string{"of-a-newer-chart": "x", "claim-ttl": "45s"},
	})
	r.wantWarnings()
	r.change(map[string]string{"of-a-newer-chart": "x", "claim-ttl": "50s"})
	r.wantWarnings("of-a-newer-chart")
	if got := r.live.Get().Policy.ClaimTTL; got != 50*time.Second {
		t.Errorf("claim-ttl is %s after a change", got)
	}
}

// T10: a wrong value ends no replica. One that starts has the default in its place.
func TestWrongSettingAtStart(t *testing.T) {
	r := newReplicaConfiguration(t)
	if !r.start(map[string]string{"claim-ttl": "soon", "order-grace": "10s", "backend": "memory"}, time.Minute) {
		t.Fatal("the replica did not start")
	}
	r.wantWarnings(`default of each setting that cannot be used: claim-ttl: "soon"`)
	want := config.Defaults()
	want.Policy.OrderGrace, want.Backend = 10*time.Second, store.Memory
	if got := r.live.Get(); got != want {
		t.Errorf("the configuration is %+v, want %+v", got, want)
	}
}

// T10: a replica that cannot read what all must agree on waits for it; it neither ends nor guesses.
func TestVitalSettingAtStart(t *testing.T) {
	r := newReplicaConfiguration(t)
	if r.start(map[string]string{"backend": "etcd"}, 1500*time.Millisecond) {
		t.Fatalf("the replica starts with %+v", r.live.Get())
	}
	r.wantWarnings(`does not start its work until these settings can be used: backend: "etcd"`)
	if !r.start(map[string]string{"backend": "memory"}, time.Minute) || r.live.Get().Backend != store.Memory {
		t.Fatal("the replica does not start with a usable backend")
	}
	r.wantWarnings()
}

// T10: hand-back is heard whatever else is wrong, by a replica that runs and by one that starts.
func TestHandBackIsHeardBesideWrongSettings(t *testing.T) {
	r := newReplicaConfiguration(t)
	r.start(map[string]string{"claim-ttl": "45s"}, time.Minute)
	r.change(map[string]string{"hand-back": "true", "claim-ttl": "50s", "backend": "etcd"})
	want := config.Defaults()
	want.Policy.ClaimTTL, want.HandBack = 45*time.Second, true
	if got := r.live.Get(); got != want {
		t.Errorf("the configuration is %+v, want %+v", got, want)
	}
	r.wantWarnings(`The old configuration stays in force, with hand-back true: backend: "etcd"`)

	starting := newReplicaConfiguration(t)
	if !starting.start(map[string]string{"hand-back": "true", "backend": "etcd"}, time.Minute) || !starting.live.Get().HandBack {
		t.Fatal("a replica that starts does not hear hand-back")
	}
	starting.wantWarnings(`backend: "etcd"`)
	starting.change(map[string]string{"hand-back": "false", "backend": "etcd"})
	if !starting.live.Get().HandBack {
		t.Error("the replica starts runs with slots in a backend that no setting names")
	}
	starting.wantWarnings("with hand-back true")
	starting.change(map[string]string{"hand-back": "false", "backend": "memory"})
	if got := starting.live.Get(); got.HandBack || got.Backend != store.Memory {
		t.Errorf("after the correction, the configuration is %+v", got)
	}
}
