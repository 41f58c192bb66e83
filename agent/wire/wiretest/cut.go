// SPDX-License-Identifier: Apache-2.0

package wiretest

// cut is what is lost between two ports.
type cut uint8

const (
	cutBroadcast cut = iota + 1 // what goes to everyone or to a group
	cutAll
)

func (c cut) stops(frame []byte) bool {
	const group = 1 // of the first octet of the destination (IEEE 802)
	return c == cutAll || c == cutBroadcast && len(frame) > 0 && frame[0]&group != 0
}

// pair is two ports. What is cut is entered in both orders.
type pair [2]*Port

// Cut has nothing pass between two ports, in either direction, until Heal; both still reach
// all others.
func (s *Segment) Cut(a, b *Port) { s.cut(a, b, cutAll) }

// CutBroadcast has only what is sent to one card pass between two ports, as networks do
// that suppress broadcasts, until Heal.
func (s *Segment) CutBroadcast(a, b *Port) { s.cut(a, b, cutBroadcast) }

func (s *Segment) cut(a, b *Port, c cut) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts[pair{a, b}], s.cuts[pair{b, a}] = c, c
}
