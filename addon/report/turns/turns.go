// Package turns has those who want to write take turns.
package turns

import "container/list"

// Ring is a line in which whoever had its turn stands at the end again. The zero value is empty.
// Every method takes the same time however long the line is.
type Ring[K comparable] struct {
	order list.List
	at    map[K]*list.Element
}

// Join puts one at the end of the line, unless it stands in it.
func (r *Ring[K]) Join(k K) {
	if r.at == nil {
		r.at = map[K]*list.Element{}
	}
	if r.at[k] == nil {
		r.at[k] = r.order.PushBack(k)
	}
}

// Leave takes one out of the line.
func (r *Ring[K]) Leave(k K) {
	if e := r.at[k]; e != nil {
		r.order.Remove(e)
		delete(r.at, k)
	}
}

// Next says whose turn it is, and has it stand at the end; false if there is none.
func (r *Ring[K]) Next() (K, bool) {
	first := r.order.Front()
	if first == nil {
		var none K
		return none, false
	}
	r.order.MoveToBack(first)
	return first.Value.(K), true
}

// Len is how many stand in the line.
func (r *Ring[K]) Len() int { return len(r.at) }
