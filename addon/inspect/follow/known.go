package follow

import (
	"reflect"

	repositorylisters "github.com/openshift-pipelines/pipelines-as-code/pkg/generated/listers/pipelinesascode/v1alpha1"
	"k8s.io/client-go/tools/cache"

	"github.com/pac-lease-queue/pac-lease-queue/addon/inspect"
	"github.com/pac-lease-queue/pac-lease-queue/addon/pac"
)

// known is what one reading of the settings says. It never changes.
type known struct {
	*inspect.Settings
	// globals has those global Repositories that no watch has.
	globals repositorylisters.RepositoryLister
	// controllers are what PAC is set to, by its namespace: always the same objects.
	controllers map[string]*pac.Controllers
}

func newKnown(s *inspect.Settings) *known {
	globals := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for i := range s.Globals {
		_ = globals.Add(&s.Globals[i]) // fails for what has no name
	}
	k := &known{Settings: s, globals: repositorylisters.NewRepositoryLister(globals), controllers: map[string]*pac.Controllers{}}
	for namespace, is := range s.Controllers {
		k.controllers[namespace] = &is
	}
	return k
}

// asDefault is what PAC is set to where it is not.
var asDefault pac.Controllers

func (k *known) controllersIn(namespace string) *pac.Controllers {
	if is, known := k.controllers[namespace]; known {
		return is
	}
	return &asDefault
}

// alike says that two readings of the settings tell the same.
func alike(a, b *inspect.Settings) bool {
	return reflect.DeepEqual(facts(a), facts(b))
}

// facts are what queues go by, without what changes by itself, as the status of a Deployment does.
func facts(s *inspect.Settings) []any {
	all := []any{s.Hidden, s.Controllers, s.Absent, s.Kueue, s.Unseen()}
	for _, i := range s.Installations {
		all = append(all, i.Name(), i.Environment, i.Config, i.ConfigErr)
	}
	for _, global := range s.Globals {
		all = append(all, global.Namespace, global.Name, global.Spec.ConcurrencyLimit)
	}
	return all
}
