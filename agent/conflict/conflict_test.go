// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// RFC 5227 section 2.1.1: a random wait of up to PROBE_WAIT, PROBE_NUM probes PROBE_MIN to
// PROBE_MAX apart, and ANNOUNCE_WAIT after the last.
func TestFreeAddressIsProbedThreeTimes(t *testing.T) {
	for seed := range uint64(50) {
		for _, addr := range []netip.Addr{vip, vip6} {
			l := newLAN(t, seed)
			begin := l.now
			l.follow(Place{Addr: addr, Role: Probe})
			l.run(time.Minute)
			if len(l.asked) != ProbeNum {
				t.Fatalf("%d probes", len(l.asked))
			}
			if wait := l.asked[0] - begin; wait < 0 || wait > ProbeWait {
				t.Errorf("the first after %s", wait)
			}
			for i := 1; i < ProbeNum; i++ {
				if gap := l.asked[i] - l.asked[i-1]; gap < ProbeMin || gap > ProbeMax {
					t.Errorf("%s apart", gap)
				}
			}
			if got := l.cleared[addr] - l.asked[ProbeNum-1]; got != AnnounceWait {
				t.Errorf("free %s after the last", got)
			}
		}
	}
}

// On an Ethernet it may be done within a second.
func TestQuickProbing(t *testing.T) {
	for seed := range uint64(50) {
		for _, addr := range []netip.Addr{vip, vip6} {
			l := newLAN(t, seed)
			begin := l.now
			l.follow(Place{Addr: addr, Role: Probe, Quick: true})
			l.run(time.Minute)
			if took := l.cleared[addr] - begin; len(l.asked) != ProbeNum || took < 800*time.Millisecond || took > 1100*time.Millisecond {
				t.Errorf("%d probes, free after %s", len(l.asked), took)
			}
		}
	}
}

func TestRankWaits(t *testing.T) {
	l := newLAN(t, 1)
	l.follow(Place{Addr: vip, Role: Probe, Wait: 3 * time.Second})
	l.run(3 * time.Second)
	if len(l.asked) != 0 {
		t.Errorf("%d probes before its turn", len(l.asked))
	}
	l.follow(Place{Addr: vip, Role: Probe}) // it is named by the Lease
	l.run(ProbeWait)
	if len(l.asked) != 1 {
		t.Errorf("%d probes after it came", len(l.asked))
	}
}

// While probing, a conflict is an answer, a claim, or another host's probe; a proxy's answer is
// none.
func TestWhatKeepsAnAddressFromItsFirstUse(t *testing.T) {
	sound := func(k Kind, node string) func(*lan) {
		return func(l *lan) {
			l.set.Heard(l.now, Sound{Kind: k, Interface: "eth0", Addr: vip, Card: foreign, Node: node})
		}
	}
	for name, tc := range map[string]struct {
		host  *host
		hear  func(*lan)
		place Place
		want  []Finding // nil: free
		tells []Finding // although it is free
	}{
		"nobody":               {},
		"a host":               {host: stands(foreign, vip), want: []Finding{{Card: foreign, Reason: ForeignHost}}},
		"a claim":              {hear: sound(Claimed, ""), want: []Finding{{Card: foreign, Reason: ForeignHost}}},
		"another host's probe": {hear: sound(Probed, ""), want: []Finding{{Card: foreign, Reason: ForeignHost}}},
		"another interface's": {hear: func(l *lan) {
			l.set.Heard(l.now, Sound{Kind: Claimed, Interface: "eth1", Addr: vip, Card: foreign})
		}},
		"a node without mark": {hear: sound(Answered, "n2"), want: []Finding{{Card: foreign, Node: "n2", Reason: OtherAnnouncer}}},
		"that node's kernel":  {hear: sound(Answered, "n2"), place: Place{Kernels: []string{"n2"}}},
		"a proxy":             {host: &host{mac: router, proxy: true}, tells: []Finding{{Card: router, Reason: ProxyAnswers}}},
		"a host of two":       {host: stands(foreign, vip, netip.MustParseAddr("192.0.2.7")), want: []Finding{{Card: foreign, Reason: ForeignHost}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t, 7)
			if tc.host != nil {
				l.hosts = append(l.hosts, tc.host)
			}
			p := tc.place
			p.Addr, p.Role = vip, Probe
			l.follow(p)
			l.run(ProbeWait + time.Millisecond)
			if tc.hear != nil {
				tc.hear(l)
			}
			l.run(20 * time.Second)
			if _, free := l.cleared[vip]; free != (tc.want == nil) {
				t.Errorf("free: %v", free)
			}
			l.finds(vip, append(tc.want, tc.tells...)...)
		})
	}
}

// An address that is in use is probed again every 30 s or so, after ten conflicts every 60 s,
// and used once it is free.
func TestAddressThatBecomesFreeIsUsed(t *testing.T) {
	h := stands(foreign, vip)
	l := newLAN(t, 3, h)
	l.follow(Place{Addr: vip, Role: Probe})
	l.run(4 * time.Minute)
	if n := len(l.asked); n < 5 || n > 20 {
		t.Errorf("%d probes in 4 minutes", n)
	}
	l.run(20 * time.Minute)
	seldom := len(l.asked)
	l.run(10 * time.Minute)
	if n := len(l.asked) - seldom; n > 30 {
		t.Errorf("%d probes in 10 minutes after ten conflicts", n)
	}
	l.finds(vip, Finding{Card: foreign, Reason: ForeignHost})
	if len(l.cleared) != 0 {
		t.Fatal("free while it was in use")
	}
	h.mute = true
	l.run(80 * time.Second)
	if _, free := l.cleared[vip]; !free {
		t.Error("not free after it was left")
	}
	l.finds(vip)
}

func TestFreeOnAllInterfaces(t *testing.T) {
	l := newLAN(t, 3)
	two := []Place{{Addr: vip, Interface: "eth0", Role: Probe, Subnet: subnet}, {Addr: vip, Interface: "eth1", Role: Probe, Wait: time.Minute, Subnet: subnet}}
	l.set.Follow(l.now, "lease", two)
	l.run(30 * time.Second)
	if len(l.cleared) != 0 {
		t.Error("free while one interface is still asked on")
	}
	l.run(time.Minute)
	if len(l.cleared) != 1 {
		t.Error("not free")
	}
}

// RFC 5227 section 2.4: at most one defence in DEFEND_INTERVAL, and none with the policy Yield.
func TestDefence(t *testing.T) {
	for _, defend := range []bool{true, false} {
		h := stands(foreign, vip)
		l := newLAN(t, 5, h)
		l.follow(Place{Addr: vip, Role: Speak, Defend: defend})
		for range 1000 {
			l.claims(h, vip)
			l.run(100 * time.Millisecond)
		}
		var at []Time
		for i, o := range l.log {
			if (o == Defend{"eth0", vip}) {
				at = append(at, l.at[i])
			}
		}
		if !defend && len(at) != 0 {
			t.Errorf("%d defences", len(at))
		}
		if defend && (len(at) != 11 || at[0] != time.Hour) { // 100 s, both ends included
			t.Errorf("%d defences, the first at %s", len(at), at[0])
		}
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] != DefendInterval {
				t.Errorf("%s between two", at[i]-at[i-1])
			}
		}
		l.finds(vip, Finding{Card: foreign, Reason: ForeignHost})
	}
}

// A claim within the interval is answered at its end, once: it must not be the last word.
func TestDefenceIsOwed(t *testing.T) {
	h := stands(foreign, vip)
	l := newLAN(t, 5, h)
	l.follow(Place{Addr: vip, Role: Speak, Defend: true})
	begin := l.now
	l.claims(h, vip)
	l.run(time.Second)
	l.claims(h, vip)
	l.run(time.Minute)
	var at []Time
	for i, o := range l.log {
		if (o == Defend{"eth0", vip}) {
			at = append(at, l.at[i]-begin)
		}
	}
	if want := []Time{0, DefendInterval}; !slices.Equal(at, want) {
		t.Errorf("defended after %v, want %v", at, want)
	}
}

// A stranger is found although it only answers others, by unicast; and is gone once it left
// three questions unanswered for 90 s.
func TestStrangerIsFoundAndIsGone(t *testing.T) {
	h := stands(foreign, vip)
	h.mute = true
	l := newLAN(t, 9, h)
	l.follow(Place{Addr: vip, Role: Speak, Defend: true})
	l.run(10 * time.Minute)
	l.finds(vip)
	if n := len(l.asked); n < 6 || n > 11 {
		t.Errorf("%d questions in 10 minutes", n)
	}
	h.mute = false
	l.run(2 * time.Minute)
	l.finds(vip, Finding{Card: foreign, Reason: ForeignHost})
	l.run(time.Hour)
	if len(l.log) != 1 {
		t.Errorf("%d reports of a conflict that lasts", len(l.log))
	}
	h.mute = true
	gone := l.now
	l.run(GoneAfter - AskEvery - time.Second)
	l.finds(vip, Finding{Card: foreign, Reason: ForeignHost})
	l.run(2 * AskEvery)
	l.finds(vip)
	if last := l.at[len(l.at)-1]; last-gone > GoneAfter+AskEvery {
		t.Errorf("gone after %s", last-gone)
	}
}

// A stranger that comes and goes is one conflict.
func TestHysteresis(t *testing.T) {
	h := stands(foreign, vip)
	l := newLAN(t, 9, h)
	l.follow(Place{Addr: vip, Role: Speak})
	for range 40 {
		l.claims(h, vip)
		h.mute = true
		l.run(GoneAfter - time.Second)
	}
	if len(l.log) != 1 {
		t.Errorf("%d reports", len(l.log))
	}
}

// A router may have one address as a host, and answer for all beyond it as a proxy.
func TestHostHereProxyThere(t *testing.T) {
	off := netip.MustParseAddr("198.18.7.40")
	h := stands(router, vip)
	h.beyond = subnet
	l := newLAN(t, 9, h)
	for _, a := range []netip.Addr{vip, off} {
		l.follow(Place{Addr: a, Role: Speak})
		l.claims(h, a)
	}
	l.run(2 * ReportInterval)
	l.finds(vip, Finding{Card: router, Reason: ForeignHost})
	l.finds(off, Finding{Card: router, Reason: ProxyAnswers})
}

// Two facts of one card: first its node is not known, then it is.
func TestNodeIsKnownLater(t *testing.T) {
	h := stands(node2, vip)
	l := newLAN(t, 9, h)
	l.follow(Place{Addr: vip, Role: Speak})
	l.claims(h, vip)
	l.run(15 * time.Second)
	l.finds(vip, Finding{Card: node2, Reason: ForeignHost})
	h.node = "n2"
	l.run(time.Minute)
	l.finds(vip, Finding{Card: node2, Node: "n2", Reason: OtherAnnouncer})
	l.follow(Place{Addr: vip, Role: Speak, Kernels: []string{"n2"}})
	l.run(ReportInterval)
	l.finds(vip)
}

// What is followed no more leaves nothing behind.
func TestForgotten(t *testing.T) {
	h := stands(foreign, vip)
	l := newLAN(t, 5, h)
	l.follow(Place{Addr: vip, Role: Speak})
	l.claims(h, vip)
	l.run(20 * time.Second)
	l.set.Follow(l.now, "lease "+vip.String(), nil)
	l.run(time.Hour)
	s := l.set
	if s.Len() != 0 || len(s.leases) != 0 || len(s.at) != 0 || s.Wake() != Never {
		t.Errorf("%d strangers, %d leases, %d spots, wake %s", s.Len(), len(s.leases), len(s.at), s.Wake())
	}
}

// Control addresses are of the subnet, are not its edges, and one is of no network at all.
func TestControlAddresses(t *testing.T) {
	for _, tc := range []struct{ addr, subnet, near, far string }{
		{"203.0.113.40", "203.0.113.0/24", "203.0.113.0/24", "192.0.2.0/24"},
		{"203.0.113.40", "203.0.113.40/30", "203.0.113.0/24", "192.0.2.0/24"},
		{"203.0.113.40", "", "203.0.113.0/24", "192.0.2.0/24"},
		{"10.1.2.3", "10.0.0.0/8", "10.0.0.0/8", "192.0.2.0/24"},
		{"192.0.2.240", "192.0.2.0/24", "192.0.2.0/24", "198.51.100.0/24"},
		{"fd00::40", "fd00::/64", "fd00::/64", "2001:db8::/32"},
		{"fd00::40", "", "fd00::/64", "2001:db8::/32"},
	} {
		p := Place{Addr: netip.MustParseAddr(tc.addr)}
		if tc.subnet != "" {
			p.Subnet = netip.MustParsePrefix(tc.subnet)
		}
		s := New(1)
		for range 100 {
			addrs := s.draw(subnetOf(p))
			for i, a := range addrs {
				in := netip.MustParsePrefix(tc.near)
				if i == controlsNear {
					in = netip.MustParsePrefix(tc.far)
				}
				if b := a.AsSlice(); !in.Contains(a) || b[len(b)-1] == 0 || b[len(b)-1] == 255 {
					t.Fatalf("%s: drew %s", tc.addr, a)
				}
			}
			if len(addrs) != controls {
				t.Fatalf("drew %v", addrs)
			}
		}
	}
}
