// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// addresses are those the host's own kernel answers for.
func (h *host) addresses() []netip.Addr {
	h.t.Helper()
	var own []netip.Addr
	h.in(func() error {
		ifi, err := net.InterfaceByName(h.card)
		if err != nil {
			return err
		}
		addrs, err := ifi.Addrs()
		for _, a := range addrs {
			p, _ := netip.ParsePrefix(a.String())
			own = append(own, p.Addr())
		}
		return err
	})
	return own
}

// quiet is false if something is heard within a moment.
func quiet(heard <-chan wire.Heard) (wire.Heard, bool) {
	select {
	case h := <-heard:
		return h, false
	case <-time.After(100 * time.Millisecond):
		return wire.Heard{}, true
	}
}

// A kernel answers for its own addresses, the link-local one included, asked by unicast or
// by broadcast.
func TestAKernelIsAWitness(t *testing.T) {
	l := newLab(t)
	other, n := l.host("gateway"), l.node("node1")
	entries := []neighbor.Entry{{Addr: vip4}, {Addr: vip6}}
	for _, addr := range other.addresses() {
		entries = append(entries, neighbor.Entry{Addr: addr, Witness: true})
	}
	if len(entries) != 5 {
		t.Fatalf("the other has the addresses %v, want one of IPv4 and two of IPv6", other.addresses())
	}
	self := n.Table().Self()
	n.SetTable(neighbor.NewTable(self, entries))
	for _, addr := range other.addresses() {
		for _, to := range []neighbor.MAC{other.mac, neighbor.Broadcast()} {
			what := fmt.Sprintf("%v asked by %v", addr, to)
			probe, ok := neighbor.Probe(self, addr, to)
			if !ok {
				t.Fatalf("%s: no probe", what)
			}
			start := time.Now()
			if err := n.Send(probe); err != nil {
				t.Fatal(err)
			}
			h := hear(t, n.heard, what)
			if h.Sound != neighbor.HeardWitness || h.Addr != addr || h.MAC != other.mac || h.Marked || !h.Unicast {
				t.Errorf("%s: heard %+v", what, h)
			}
			t.Logf("%s: after %v", what, time.Since(start))
		}
	}
	other.ip("link set eth0 down")
	probe, _ := neighbor.Probe(self, other.addresses()[0], other.mac)
	if err := n.Send(probe); err != nil {
		t.Fatal(err)
	}
	if h, ok := quiet(n.heard); !ok {
		t.Errorf("a host that is down: heard %+v", h)
	}
}

// Vouches and the word of leaving arrive by broadcast and unicast, are not answered even by
// the speaker, and no neighbour takes an address from them, not even one that takes
// addresses from any announcement.
func TestStatementsPassTheSegmentAndChangeNoCache(t *testing.T) {
	l := newLab(t)
	speaker, sayer := l.node("node1"), l.node("node2")
	knows, learns := l.host("knows"), l.host("learns")
	l.speak(speaker)
	learns.sysctl("net.ipv4.conf.eth0.arp_accept=1",
		"net.ipv6.conf.eth0.forwarding=1", "net.ipv6.conf.eth0.accept_untracked_na=1")
	for _, addr := range vips {
		knows.talk(addr)
		eventually(t, time.Second, "resolved", func() bool { return knows.at(addr) == speaker.mac.String() })
	}
	eventually(t, 3*time.Second, "the router known to the bridge", l.knows("learns", allRouters))
	eventually(t, time.Second, "both replies counted", func() bool { return speaker.Counters().Replies >= 2 })
	before := speaker.Counters()
	for kind, sound := range map[neighbor.Kind]neighbor.Sound{
		neighbor.MarkVouch: neighbor.HeardVouch, neighbor.MarkLeaving: neighbor.HeardLeaving,
	} {
		for _, addr := range vips {
			for _, to := range []neighbor.MAC{neighbor.Broadcast(), speaker.mac} {
				for _, form := range []neighbor.Form{neighbor.OwnAddress, neighbor.ZeroSender} {
					what := fmt.Sprintf("%v about %v to %v, form %d", kind, addr, to, form)
					m := neighbor.Mark{Kind: kind, Transitions: 4, Nonce: 7, Flags: neighbor.FlagHears}
					frame, ok := neighbor.Word(sayer.Table().Self(), addr, to, form, m)
					if !ok {
						t.Fatal(what)
					}
					if err := sayer.Send(frame); err != nil {
						t.Fatal(err)
					}
					h := hear(t, speaker.heard, what)
					if h.Sound != sound || !h.Marked || h.Addr != addr || h.MAC != sayer.mac || h.Mark.Transitions != 4 || h.Mark.Flags != neighbor.FlagHears {
						t.Errorf("%s: heard %+v", what, h)
					}
				}
			}
			// A card that gets it by unicast has its kernel look at it too.
			for _, h := range []*host{knows, learns} {
				if frame, ok := neighbor.Word(sayer.Table().Self(), addr, h.mac, neighbor.OwnAddress, neighbor.Mark{Kind: kind}); ok {
					if err := sayer.Send(frame); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if h, ok := quiet(sayer.heard); !ok {
		t.Errorf("answered: %+v", h)
	}
	if after := speaker.Counters(); after.Replies != before.Replies {
		t.Errorf("%d replies", after.Replies-before.Replies)
	}
	for _, addr := range vips {
		if got := knows.at(addr); got != speaker.mac.String() {
			t.Errorf("the entry of %v became %q", addr, knows.entry(addr))
		}
		if got := learns.at(addr); got != "" {
			t.Errorf("an entry of %v was made: %q", addr, learns.entry(addr))
		}
	}
	// The same neighbour does learn from an announcement: it could have.
	for _, addr := range vips {
		speaker.Claim(addr)
		eventually(t, time.Second, "learned from a claim", func() bool { return learns.at(addr) == speaker.mac.String() })
	}
}

// A bridge that suppresses neighbour discovery towards a port, as VXLAN fabrics have it,
// keeps from it what is sent to everyone, and answers in the name of a speaker it knows.
// What is sent to one card passes; some kernels answer that as well, but never ARP with the
// sender 0.0.0.0. So a question by unicast finds the speaker, and only the mark tells its
// answer from the bridge's.
func TestQuestionsByUnicastPassASuppressingBridge(t *testing.T) {
	l := newLab(t)
	speaker, asker := l.node("node1"), l.node("node2")
	speaker.speak()
	// Linux suppresses what it floods, not what it sends to the known members of a group.
	l.bench.ip("link set br0 type bridge mcast_snooping 0")
	for _, addr := range vips {
		l.bench.ip("neigh add " + addr.String() + " lladdr " + speaker.mac.String() + " dev br0 nud permanent")
	}
	for _, args := range []string{
		"link set dev node1 neigh_suppress on",
		"fdb replace " + speaker.mac.String() + " dev node1 master static",
	} {
		if out, err := l.bench.run(append([]string{"bridge"}, strings.Fields(args)...)...); err != nil {
			t.Fatalf("bridge %s: %v\n%s", args, err, out)
		}
	}
	const no, maybe, yes = 0, 1, 2
	for _, tc := range []struct {
		what          string
		addr          netip.Addr
		to            neighbor.MAC
		form          neighbor.Form
		passes        bool // the speaker hears it, and its answer is heard
		bridgeAnswers int  // in the speaker's name, without a mark
	}{
		{"ARP, unicast, 0.0.0.0", vip4, speaker.mac, neighbor.ZeroSender, true, no},
		{"ARP, unicast, own address", vip4, speaker.mac, neighbor.OwnAddress, true, maybe},
		{"ARP, broadcast, 0.0.0.0", vip4, neighbor.Broadcast(), neighbor.ZeroSender, false, no},
		{"ARP, broadcast, own address", vip4, neighbor.Broadcast(), neighbor.OwnAddress, false, yes},
		{"NDP, unicast", vip6, speaker.mac, neighbor.OwnAddress, true, maybe},
		{"NDP, multicast", vip6, neighbor.Broadcast(), neighbor.OwnAddress, false, yes},
	} {
		q, _ := neighbor.Question(asker.Table().Self(), tc.addr, tc.to, tc.form, neighbor.Mark{})
		if err := asker.Send(q); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		passed, marked, bare := len(speaker.heard) > 0, 0, 0
		for len(speaker.heard) > 0 {
			<-speaker.heard
		}
		for len(asker.heard) > 0 {
			switch h := <-asker.heard; {
			case h.Sound != neighbor.HeardAnswer || h.MAC != speaker.mac:
				t.Errorf("%s: heard %+v", tc.what, h)
			case h.Marked:
				marked++
			default:
				bare++
			}
		}
		t.Logf("%s: passed %v, %d marked answers, %d without a mark", tc.what, passed, marked, bare)
		if passed != tc.passes || (marked == 1) != tc.passes {
			t.Errorf("%s: want passed and answered %v", tc.what, tc.passes)
		}
		if tc.bridgeAnswers != maybe && (bare == 1) != (tc.bridgeAnswers == yes) {
			t.Errorf("%s: want answered by the bridge %v", tc.what, tc.bridgeAnswers == yes)
		}
	}
}
