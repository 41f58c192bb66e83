// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
)

// Setup is the world before anything happens to it.
type Setup struct {
	Seed uint64
	// Nodes and Segments are how many there are: A, B, C ... and eth0, eth1.
	Nodes, Segments int
	// Leases lists, for each Lease, its addresses: 4 or 6, and the segment's number.
	Leases [][]Where
	// Candidates is the order of candidates of all Leases by node index; nil: shuffled.
	Candidates []int
	// Lag is the longest delay of watches, Latency of a request, one way.
	Lag, Latency time.Duration
	// Loss is the share of frames that are lost, in percent.
	Loss int
	// NoGateway, and Guest: another host that proves one's own link.
	NoGateway, Guest bool
	// NoDisk: nothing is kept for a start without the API server.
	NoDisk bool
	// Busy: loops wake late now and then.
	Busy bool
	// Forward is how long after a boot kube-proxy is ready.
	Forward time.Duration
	// Drift is by how much clocks differ in rate, in thousandths.
	Drift int
}

// Where is the family and the segment of an address.
type Where struct {
	V6      bool
	Segment int
}

// address is a VIP.
type address struct {
	addr  netip.Addr
	place Where
	lease int
	index int
}

type addrKey struct {
	addr netip.Addr
	seg  int
}

func names(i int) string { return string(rune('A' + i)) }

// interfaces of a node, by segment.
var interfaces = [...]string{"eth0", "eth1", "eth2"}

func newWorld(s Script, o Options) *world {
	w := &world{Options: o, Setup: s.Setup, end: s.End}
	if o.Seed != 0 {
		w.Setup.Seed = o.Seed
	}
	w.rng = rand.New(rand.NewPCG(w.Setup.Seed, 0x61727065))
	w.byAddr = map[addrKey]*address{}
	w.store = &store{world: w, beats: make([]beat, w.Nodes), hands: map[epoch]hand{}, order: map[string]int{}}
	for i := range w.Segments {
		w.segments = append(w.segments, newSegment(w, i))
	}
	w.check.begin(w, s)
	for l, places := range w.Leases {
		for i, p := range places {
			a := &address{place: p, lease: l, index: len(w.addresses)}
			if p.V6 {
				a.addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(p.Segment), 15: byte(16 + 16*l + i)})
			} else {
				a.addr = netip.AddrFrom4([4]byte{192, 0, 2 + byte(p.Segment), byte(16 + 16*l + i)})
			}
			w.addresses = append(w.addresses, a)
			w.byAddr[addrKey{a.addr, p.Segment}] = a
		}
	}
	w.check.places(w)
	order := w.Candidates
	if order == nil {
		order = w.rng.Perm(w.Nodes)
	}
	for i := range w.Nodes {
		w.hosts = append(w.hosts, newHost(w, i))
	}
	w.manager.begin(w, order)
	for _, h := range w.hosts {
		w.at(w.between(0, time.Second), h.start)
	}
	return w
}

// own gives a host's own address on a segment: what a witness answers for.
func own(port, seg int, v6 bool) netip.Addr {
	if v6 {
		return netip.AddrFrom16([16]byte{0xfe, 0x80, 14: byte(seg), 15: byte(1 + port)})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2 + byte(seg), byte(200 + port)})
}

func macOf(port, seg, version int) detector.MAC {
	return detector.MAC{2, 0, byte(version), 0, byte(seg), byte(1 + port)}
}
