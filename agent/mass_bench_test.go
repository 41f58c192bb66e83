// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// BenchmarkMassChange is what an announcement costs of which a thousand change at once.
func BenchmarkMassChange(b *testing.B) {
	s := newStage(b, 1000, 4)
	var changes []announcementChanged
	for key := range s.leaseOf {
		a := s.reigns[s.leaseOf[key]].announcement.DeepCopy()
		slices.Reverse(a.Spec.Candidates)
		changes = append(changes, announcementChanged{key: key, announcement: a})
	}
	n := 0
	for b.Loop() {
		c := changes[n%len(changes)]
		c.announcement = c.announcement.DeepCopy()
		slices.Reverse(c.announcement.Spec.Candidates)
		changes[n%len(changes)] = c
		s.take(c)
		if n++; n%batch == 0 {
			s.clock += tickEvery
			s.turn()
		}
	}
}

// BenchmarkMassClaims is what a claim costs of which another node sends thousands.
func BenchmarkMassClaims(b *testing.B) {
	s := newStage(b, 1000, 4)
	s.setFacts("facts.node1", peerFacts{node: "node1", Facts: v1alpha1.Facts{Interfaces: []v1alpha1.InterfaceFacts{{Name: "eth0", MAC: "02:02:00:00:00:00"}}}})
	s.recard()
	var claims []wire.Heard
	for _, name := range []string{"web1", "web4", "web7"} {
		r := s.reigns[s.leaseOf[types.NamespacedName{Namespace: "default", Name: name}]]
		m := s.markOf(r, neighbor.MarkClaim)
		for _, c := range r.carried {
			claims = append(claims, wire.Heard{Interface: "eth0", Heard: neighbor.Heard{
				Sound: neighbor.HeardClaim, Addr: c.addr, MAC: neighbor.MAC{2, 2}, Marked: true, Mark: m,
			}})
		}
	}
	n := 0
	for b.Loop() {
		h := claims[n%len(claims)]
		h.At = s.clock
		s.heard(h)
		if n++; n%batch == 0 {
			s.clock += tickEvery
			s.turn()
		}
	}
}
