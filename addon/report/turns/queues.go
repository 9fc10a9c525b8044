package turns

import "github.com/pac-lease-queue/pac-lease-queue/addon/queue"

// Queues has queues take turns: namespaces first, then the queues of each. The zero value is empty.
type Queues struct {
	namespaces Ring[string]
	queues     map[string]*Ring[queue.Key] // by namespace
}

// Join puts a queue at the end of its namespace's line, unless it stands in it.
func (q *Queues) Join(key queue.Key) {
	if q.queues == nil {
		q.queues = map[string]*Ring[queue.Key]{}
	}
	of := q.queues[key.Namespace]
	if of == nil {
		of = &Ring[queue.Key]{}
		q.queues[key.Namespace] = of
		q.namespaces.Join(key.Namespace)
	}
	of.Join(key)
}

// Leave takes a queue out of the line.
func (q *Queues) Leave(key queue.Key) {
	of := q.queues[key.Namespace]
	if of == nil {
		return
	}
	if of.Leave(key); of.Len() == 0 {
		delete(q.queues, key.Namespace)
		q.namespaces.Leave(key.Namespace)
	}
}

// Next says which queue's turn it is; false if none stands in line.
func (q *Queues) Next() (queue.Key, bool) {
	namespace, ok := q.namespaces.Next()
	if !ok {
		return queue.Key{}, false
	}
	return q.queues[namespace].Next()
}
