package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
	"k8s.io/utils/clock"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect/tested"
	"github.com/pac-lease-queue/pac-lease-queue/addon/store/lease"
)

// Facts are all that was read.
type Facts struct {
	// Now is the time by the API server's clock.
	Now           time.Time
	Installations []inspect.Installation
	// Hidden says that installations could not be listed.
	Hidden bool
	Queues []inspect.Queue
	// Strays are Leases with the name of a slot that cannot be read as one, by namespace/name.
	Strays map[string]coordinationv1.Lease
	// Leaders are the Leases by which replicas elect leaders, by installation.
	Leaders map[string][]coordinationv1.Lease
	// Admission is nil if the caller may not read it.
	Admission *Admission
	// Missing are the rights that an installation lacks.
	Missing map[string][]Right
	PAC     map[string]PAC // by namespace
	// Versions are those of Kubernetes and Tekton.
	Versions []Version
	// Kueue says that the cluster has Kueue.
	Kueue bool
	// NoAccount are the accounts by which Kueue may start runs and that do not exist, by
	// installation.
	NoAccount map[string][]string
	// ServerAhead is by how much the API server's clock is ahead of the local one.
	ServerAhead time.Duration
	Unseen      []string
}

// Admission is the installed hold and guard, by release.
type Admission struct {
	Holds  map[string][]Policy
	Guards map[string][]Policy
	// Unguarded says that the API server has no policies of the guard's kind.
	Unguarded bool
}

// Policy is a policy or webhook of the chart.
type Policy struct {
	Kind, Name string
	// Idle says why it is not enforced; empty if it is.
	Idle string
}

// PAC is Pipelines-as-Code.
type PAC struct {
	Found bool
	// Version as it says itself, and where.
	Version, Says string
}

// Version is a component's version as it says itself, and where.
type Version struct {
	Component  tested.Component
	Text, Says string
}

// Doctor examines a cluster.
type Doctor struct {
	inspect.Clients
	Dates *Dates
	Clock clock.Clock
	// Settle is how long a replica may take to repair what it repairs by itself.
	Settle time.Duration
}

// read reads everything.
func (d *Doctor) read(ctx context.Context, scope inspect.Scope) (*Facts, error) {
	r, err := inspect.Read(ctx, d.Clients, scope)
	if err != nil {
		return nil, err
	}
	f := &Facts{
		Now: d.Dates.Now(d.Clock), Installations: r.Installations, Hidden: r.Hidden, Unseen: r.Unseen(),
		Leaders: map[string][]coordinationv1.Lease{}, Missing: map[string][]Right{}, PAC: map[string]PAC{},
		Kueue: r.Kueue, NoAccount: map[string][]string{},
	}
	f.ServerAhead, _ = d.Dates.Ahead()
	f.Queues = r.Queues(f.Now)
	if err := d.leaders(ctx, f); err != nil { // first, as they are compared with Now
		return nil, err
	}
	if f.Strays, err = d.strays(ctx, f, scope.Namespace, f.Queues); err != nil {
		return nil, err
	}
	if f.Admission, err = d.admission(ctx, f); err != nil {
		return nil, err
	}
	for _, i := range r.Installations {
		if f.Missing[i.Name()], err = d.missing(ctx, f, i); err != nil {
			return nil, err
		}
		if f.NoAccount[i.Name()], err = d.noAccount(ctx, f, i); err != nil {
			return nil, err
		}
		if i.Environment.WithoutPAC {
			continue
		}
		namespace := i.Config.PACNamespace
		if f.PAC[namespace], err = d.pac(ctx, f, namespace); err != nil {
			return nil, err
		}
	}
	if err := d.versions(ctx, f); err != nil {
		return nil, err
	}
	err = inspect.ReadRefusals(ctx, d.Clients, scope.Namespace, f.Queues)
	if f.refused(err, "Events, which say why a run could not be started") {
		err = nil
	}
	return f, err
}

// refused says whether the API server refused a read, and notes what is not examined for that.
func (f *Facts) refused(err error, format string, args ...any) bool {
	if !apierrors.IsForbidden(err) {
		return false
	}
	f.Unseen = append(f.Unseen, fmt.Sprintf(format, args...)+": "+err.Error())
	return true
}

func (d *Doctor) leaders(ctx context.Context, f *Facts) error {
	for _, i := range f.Installations {
		leases, err := leaderLeases(ctx, d.Kube, i)
		if f.refused(err, "The Leases of namespace %s, which show the leader", i.Deployment.Namespace) {
			continue
		}
		if err != nil {
			return err
		}
		if len(leases) > 0 { // replicas that never started are a finding of their own
			f.Leaders[i.Name()] = leases
		}
	}
	return nil
}

// leaderLeases are the Leases by which the replicas of an installation elect leaders.
func leaderLeases(ctx context.Context, kube kubernetes.Interface, i inspect.Installation) ([]coordinationv1.Lease, error) {
	list, err := kube.CoordinationV1().Leases(i.Deployment.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(l coordinationv1.Lease) bool {
		return !strings.HasPrefix(l.Name, config.Component+".")
	}), nil
}

func (d *Doctor) strays(ctx context.Context, f *Facts, namespace string, queues []inspect.Queue) (map[string]coordinationv1.Lease, error) {
	strays := map[string]coordinationv1.Lease{}
	list := func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return d.Kube.CoordinationV1().Leases(namespace).List(ctx, o)
	}
	err := pager.New(list).EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		l := o.(*coordinationv1.Lease)
		if _, _, reads := lease.Decode(l); reads {
			return nil
		}
		if slices.ContainsFunc(queues, func(q inspect.Queue) bool { _, in := inPlace(q, l.Namespace, l.Name); return in }) {
			strays[l.Namespace+"/"+l.Name] = *l
		}
		return nil
	})
	if f.refused(err, "Leases that cannot be read as slots") {
		return nil, nil
	}
	return strays, err
}

// admission reads policies and webhooks by the labels of the chart.
func (d *Doctor) admission(ctx context.Context, f *Facts) (*Admission, error) {
	a := &Admission{Holds: map[string][]Policy{}, Guards: map[string][]Policy{}}
	client, o := d.Kube.AdmissionregistrationV1(), metav1.ListOptions{LabelSelector: config.Selector}
	holds, err := client.MutatingAdmissionPolicies().List(ctx, o)
	if f.refused(err, "The hold") {
		return nil, nil
	}
	if err == nil {
		bindings, err := client.MutatingAdmissionPolicyBindings().List(ctx, metav1.ListOptions{})
		if f.refused(err, "The binding of the hold") {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, h := range holds.Items {
			p := Policy{Kind: "MutatingAdmissionPolicy", Name: h.Name, Idle: "no binding enforces it"}
			for _, b := range bindings.Items {
				if b.Spec.PolicyName == h.Name {
					p.Idle = ""
				}
			}
			a.Holds[release(&h)] = append(a.Holds[release(&h)], p)
		}
	} else if !apierrors.IsNotFound(err) { // before Kubernetes 1.36 there is no such kind
		return nil, err
	}
	webhooks, err := client.MutatingWebhookConfigurations().List(ctx, o)
	if f.refused(err, "The hold as a webhook") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, w := range webhooks.Items {
		p := Policy{Kind: "MutatingWebhookConfiguration", Name: w.Name}
		for _, hook := range w.Webhooks {
			if len(hook.ClientConfig.CABundle) == 0 {
				p.Idle = "it has no caBundle, which a replica writes"
			}
		}
		if len(w.Webhooks) == 0 {
			p.Idle = "it has no webhooks"
		}
		a.Holds[release(&w)] = append(a.Holds[release(&w)], p)
	}
	guards, err := client.ValidatingAdmissionPolicies().List(ctx, o)
	if f.refused(err, "The guard") {
		return nil, nil
	}
	if apierrors.IsNotFound(err) {
		a.Unguarded = true // before Kubernetes 1.30
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	bindings, err := client.ValidatingAdmissionPolicyBindings().List(ctx, metav1.ListOptions{})
	if f.refused(err, "The binding of the guard") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, g := range guards.Items {
		p := Policy{Kind: "ValidatingAdmissionPolicy", Name: g.Name, Idle: "no binding enforces it with the action Deny"}
		for _, b := range bindings.Items {
			if b.Spec.PolicyName == g.Name && slices.Contains(b.Spec.ValidationActions, "Deny") {
				p.Idle = ""
			}
		}
		a.Guards[release(&g)] = append(a.Guards[release(&g)], p)
	}
	return a, nil
}

// release is the release of the chart that an object belongs to.
func release(o metav1.Object) string { return o.GetLabels()["app.kubernetes.io/instance"] }

// pac finds the version of Pipelines-as-Code.
func (d *Doctor) pac(ctx context.Context, f *Facts, namespace string) (PAC, error) {
	const info = "pipelines-as-code-info"
	var p PAC
	cm, err := d.Kube.CoreV1().ConfigMaps(namespace).Get(ctx, info, metav1.GetOptions{})
	switch {
	case err == nil:
		p.Found = true
		if version := cm.Data["version"]; isVersion(version) {
			return PAC{true, version, "ConfigMap " + namespace + "/" + info}, nil
		}
	case apierrors.IsNotFound(err), f.refused(err, "ConfigMap %s/%s, which says the version of Pipelines-as-Code", namespace, info):
	default:
		return p, err
	}
	list, err := d.Kube.AppsV1().Deployments(namespace).List(ctx,
		metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=pipelines-as-code"})
	if f.refused(err, "The Deployments of Pipelines-as-Code in namespace %s", namespace) {
		p.Found = true // its absence is not proven
		return p, nil
	}
	if err != nil {
		return p, err
	}
	for _, deployment := range list.Items {
		p.Found = true
		candidates := []string{deployment.Labels["app.kubernetes.io/version"]}
		for _, c := range deployment.Spec.Template.Spec.Containers {
			image, _, _ := strings.Cut(c.Image, "@")
			if _, tag, tagged := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":"); tagged {
				candidates = append(candidates, tag)
			}
		}
		for _, version := range candidates {
			if isVersion(version) {
				return PAC{true, version, "Deployment " + namespace + "/" + deployment.Name}, nil
			}
		}
	}
	return p, nil
}

// versions finds the versions of Kubernetes and Tekton. All users may read Tekton's ConfigMap.
func (d *Doctor) versions(ctx context.Context, f *Facts) error {
	server, err := d.Kube.Discovery().ServerVersion()
	if err == nil {
		f.Versions = append(f.Versions, Version{tested.Kubernetes, server.GitVersion, "the API server"})
	} else if !f.refused(err, "The version of Kubernetes") {
		return err
	}
	namespaces := []string{"tekton-pipelines"}
	for namespace := range f.PAC { // OpenShift has both in one
		if !slices.Contains(namespaces, namespace) {
			namespaces = append(namespaces, namespace)
		}
	}
	const info = "pipelines-info"
	for _, namespace := range namespaces {
		cm, err := d.Kube.CoreV1().ConfigMaps(namespace).Get(ctx, info, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || f.refused(err, "ConfigMap %s/%s, which says the version of Tekton", namespace, info) {
			continue
		}
		if err != nil {
			return err
		}
		f.Versions = append(f.Versions, Version{tested.Tekton, cm.Data["version"], "ConfigMap " + namespace + "/" + info})
	}
	return nil
}
