package annotate

import (
	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
	"github.com/pac-lease-queue/pac-lease-queue/addon/report/turns"
)

// line has the queues under way take turns: namespaces first, then the queues of each. The zero
// value is empty.
type line struct {
	namespaces turns.Ring[string]
	queues     map[string]*turns.Ring[queue.Key] // by namespace
}

func (l *line) join(key queue.Key) {
	if l.queues == nil {
		l.queues = map[string]*turns.Ring[queue.Key]{}
	}
	of := l.queues[key.Namespace]
	if of == nil {
		of = &turns.Ring[queue.Key]{}
		l.queues[key.Namespace] = of
		l.namespaces.Join(key.Namespace)
	}
	of.Join(key)
}

func (l *line) leave(key queue.Key) {
	of := l.queues[key.Namespace]
	if of == nil {
		return
	}
	if of.Leave(key); of.Len() == 0 {
		delete(l.queues, key.Namespace)
		l.namespaces.Leave(key.Namespace)
	}
}

// next says which queue's turn it is; false if none is under way.
func (l *line) next() (queue.Key, bool) {
	namespace, ok := l.namespaces.Next()
	if !ok {
		return queue.Key{}, false
	}
	return l.queues[namespace].Next()
}
