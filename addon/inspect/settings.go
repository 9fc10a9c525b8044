package inspect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/openshift-pipelines/pipelines-as-code/pkg/apis/pipelinesascode/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pac-lease-queue/pac-lease-queue/addon/config"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report"
)

// Settings are what queues go by besides their own objects: how the add-on and PAC are set up.
type Settings struct {
	// Namespace that was looked at; empty for all.
	Namespace     string
	Installations []Installation
	// Hidden says that installations could not be looked for.
	Hidden bool
	// Controllers are what PAC is set to, by PAC's namespace.
	Controllers map[string]pac.Controllers
	// Globals are the Repositories of PAC's namespaces, unless those are looked at anyway.
	Globals []v1alpha1.Repository
	// Kueue says that the cluster has Kueue.
	Kueue bool
	// Absent are the namespaces in which PAC was looked for and is not.
	Absent map[string]bool
	// Notes say what could not be read.
	Notes []string
	// assumptions say what is assumed of settings that could not be read.
	assumptions []string
}

// ReadSettings reads the settings once.
func ReadSettings(ctx context.Context, c Clients, scope Scope) (*Settings, error) {
	s := &Settings{Namespace: scope.Namespace, Controllers: map[string]pac.Controllers{}, Absent: map[string]bool{}}
	if err := s.readInstallations(ctx, c.Kube, scope.Addon); err != nil {
		return nil, err
	}
	if c.Discovery != nil {
		var err error
		s.Kueue, err = pac.HasKueue(ctx, c.Discovery)
		switch {
		case apierrors.IsForbidden(err):
			s.note("You may not see which APIs the cluster has: it counts as one without Kueue.")
		case err != nil:
			return nil, err
		}
	}
	for _, namespace := range s.pacNamespaces() {
		if err := s.readPAC(ctx, c, scope.Namespace, namespace); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readPAC reads what PAC's own namespace adds: its global Repository, unless
// that was read with the others, and its settings.
func (s *Settings) readPAC(ctx context.Context, c Clients, read, namespace string) error {
	if read != "" && read != namespace {
		list, err := c.PAC.PipelinesascodeV1alpha1().Repositories(namespace).List(ctx, metav1.ListOptions{})
		switch {
		case apierrors.IsForbidden(err):
			s.assume("You may not list Repositories in namespace %s: a limit inherited from the global Repository is not seen.",
				namespace)
		case apierrors.IsNotFound(err): // a cluster without PAC
		case err != nil:
			return Explain(err, "Repositories", namespace)
		default:
			s.Globals = append(s.Globals, list.Items...)
		}
	}
	is := pac.Controllers{Further: map[string]pac.Features{}}
	for _, name := range append([]string{pac.SettingsName}, s.furtherSettings(namespace)...) {
		settings, err := c.Kube.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsForbidden(err):
			s.assume("You may not get ConfigMap %s/%s: Pipelines-as-Code counts as set to its defaults.", namespace, name)
			is.Unseen = is.Unseen || name == pac.SettingsName
		case apierrors.IsNotFound(err):
			is.Unseen = is.Unseen || name == pac.SettingsName
			s.Absent[namespace] = s.Absent[namespace] || name == pac.SettingsName
		case err != nil:
			return Explain(err, "ConfigMaps", namespace)
		case name == pac.SettingsName:
			is.Default = pac.ReadFeatures(settings)
		default:
			is.Further[name] = pac.ReadFeatures(settings)
		}
	}
	s.Controllers[namespace] = is
	return nil
}

// furtherSettings are the ConfigMaps of PAC's further controllers in a namespace, as far as
// replicas read them.
func (s *Settings) furtherSettings(namespace string) []string {
	var names []string
	for _, i := range s.Installations {
		if i.Config.PACNamespace == namespace {
			names = append(names, i.Environment.PACConfigMaps...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pacNamespaces are those in which the installations say that PAC is.
func (s *Settings) pacNamespaces() []string {
	var all []string
	seen := map[string]bool{}
	for _, i := range s.Installations {
		if namespace := i.Config.PACNamespace; !seen[namespace] && !i.Environment.WithoutPAC {
			seen[namespace] = true
			all = append(all, namespace)
		}
	}
	if len(s.Installations) == 0 {
		all = append(all, config.Defaults().PACNamespace)
	}
	return all
}

// NewQueue says where the runs of a snapshot stand. missing is that of a [Queue], and done are runs
// of it that are done; the queue keeps them.
func (s *Settings) NewQueue(snapshot queue.Snapshot, missing bool, done []Done, now time.Time) Queue {
	set := s.Config(snapshot.Key.Namespace)
	snapshot.HandBack = set.HandBack
	q := Queue{Now: now, Config: set, Snapshot: snapshot, Missing: missing, Done: done}
	q.Standings = queue.Stand(snapshot, now, set.Policy)
	if missing {
		orphan(&q.Standings)
	}
	slices.SortFunc(q.Done, Done.Compare)
	var recent report.Recent
	for _, run := range q.Done {
		recent.Note(snapshot.Key, []*queue.Run{&run.Run})
	}
	if q.Typical, q.Of = recent.Typical(snapshot.Key); q.Of > 0 {
		q.Turns = report.Turns(q.Standings, q.Typical, now)
	}
	return q
}

// Config is the configuration by which the queues of a namespace are worked on.
func (s *Settings) Config(namespace string) config.Config {
	for _, i := range s.Installations {
		if i.Environment.Watched.Contains(namespace) {
			return i.Config
		}
	}
	return config.Defaults()
}

// HeedRunQueues says whether the replicas that work on the queues of a namespace go by RunQueues.
// Without a replica, they would.
func (s *Settings) HeedRunQueues(namespace string) bool {
	for _, i := range s.Installations {
		if i.Environment.Watched.Contains(namespace) && !i.Environment.RunQueues {
			return false
		}
	}
	return true
}

// reads says whether the replicas that work on the queues of a namespace read the settings of a
// controller, by its ConfigMap. Without a replica there is nothing to say.
func (s *Settings) reads(namespace, configMap string) bool {
	for _, i := range s.Installations {
		if i.Environment.Watched.Contains(namespace) {
			return configMap == "" || configMap == pac.SettingsName || slices.Contains(i.Environment.PACConfigMaps, configMap)
		}
	}
	return true
}

func (s *Settings) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// assume notes what is assumed of a setting.
func (s *Settings) assume(format string, args ...any) {
	s.assumptions = append(s.assumptions, fmt.Sprintf(format, args...))
}

// Unseen says what could not be read, settings included.
func (s *Settings) Unseen() []string { return slices.Concat(s.Notes, s.assumptions) }
