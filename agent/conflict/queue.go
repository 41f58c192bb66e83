// SPDX-License-Identifier: Apache-2.0

package conflict

// queue is a container/heap with the place that is due first on top.
type queue []*place

// Len, Less, Swap, Push and Pop are container/heap's.
func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, k int) bool { return q[i].due < q[k].due }

// Swap keeps the slots.
func (q queue) Swap(i, k int) {
	q[i], q[k] = q[k], q[i]
	q[i].slot, q[k].slot = i, k
}

// Push is heap.Push's.
func (q *queue) Push(x any) {
	p, _ := x.(*place)
	p.slot = len(*q)
	*q = append(*q, p)
}

// Pop is heap.Pop's.
func (q *queue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	p.slot = -1
	return p
}
