package stack

import (
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// The Lease of leader election names an identity, and the log of a replica's current life says
// which identity is the replica's. A killed life no longer leads, although it keeps the Lease.
func TestLeader(t *testing.T) {
	const bucket = "pac-lease-queue.queues.00-of-01"
	dir := t.TempDir()
	replica := func(name string) *Replica {
		r := &Replica{Process: process.New(process.Spec{
			Name: name, Path: "/bin/sh", Args: []string{"-c", `echo "$LINE"; exec sleep 600`}, Dir: dir, Logs: dir,
		})}
		t.Cleanup(func() { _ = r.Kill() })
		return r
	}
	launch := func(r *Replica, identity string) {
		t.Helper()
		r.SetEnv(fmt.Sprintf(`LINE={"message":"%s %s \"%s\""}`, bucket, electionEntry, identity))
		if err := r.Launch(); err != nil {
			t.Fatal(err)
		}
		for range 500 {
			lines, err := r.LogLines(r.LogStart(), electionEntry)
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) > 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s logs nothing", r.Name())
	}
	first, second := replica("first"), replica("second")
	launch(first, "vm_1")
	launch(second, "vm_2")

	held := func(name, holder string) *coordinationv1.Lease {
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: "addon", Name: name},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder},
		}
	}
	check := func(when string, want *Replica, leases ...*coordinationv1.Lease) {
		t.Helper()
		kube := fake.NewClientset()
		for _, l := range leases {
			if err := kube.Tracker().Add(l); err != nil {
				t.Fatal(err)
			}
		}
		a := &Addon{stack: &Stack{kube: kube}, opts: AddonOptions{Namespace: "addon"}, replicas: []*Replica{first, second}}
		got, err := a.leader(t.Context(), queue.Key{Namespace: "shop", Repository: "app"})
		if got != want || (err == nil) != (want != nil) {
			t.Errorf("%s: leader %s, error %v, want %s", when, nameOf(got), err, nameOf(want))
		}
	}
	slot := held("app.slot-0", "vm_1")
	check("without leader election", nil, slot)
	check("before the election", nil, slot, held(bucket, ""))
	check("a stranger leads", nil, held(bucket, "vm_3"))
	check("the second leads", second, slot, held(bucket, "vm_2"))
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	check("the leader is dead", nil, held(bucket, "vm_2"))
	launch(second, "vm_4")
	check("a killed life holds the Lease", nil, held(bucket, "vm_2"))
	check("the new life leads", second, held(bucket, "vm_4"))
}

func nameOf(r *Replica) string {
	if r == nil {
		return "none"
	}
	return r.Name()
}
