// SPDX-License-Identifier: Apache-2.0

package conflict

import (
	"net/netip"
	"testing"
	"time"
)

// A thousand new addresses are probed side by side, and the segment is not flooded.
func TestThousandNewAddresses(t *testing.T) {
	l := newLAN(t, 11)
	for i := range 1000 {
		addr := netip.AddrFrom4([4]byte{203, 0, byte(113 + i/250), byte(i % 250)})
		l.set.Follow(l.now, addr.String(), []Place{{Addr: addr, Interface: "eth0", Role: Probe}})
	}
	begin := l.now
	l.run(time.Minute)
	if len(l.cleared) != 1000 {
		t.Fatalf("%d are free", len(l.cleared))
	}
	for i := 50; i < len(l.asked); i++ {
		if took := l.asked[i] - l.asked[i-50]; took < 49*frameGap {
			t.Fatalf("50 frames within %s", took)
		}
	}
	for addr, at := range l.cleared {
		if at-begin > 20*time.Second {
			t.Errorf("%s after %s", addr, at-begin)
		}
	}
}

// Thousands of addresses without a stranger cost one question a second.
func TestPatrolIsPaced(t *testing.T) {
	l := newLAN(t, 11)
	for i := range 2000 {
		addr := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		l.set.Follow(l.now, addr.String(), []Place{{Addr: addr, Interface: "eth0", Role: Speak}})
	}
	l.run(10 * time.Minute)
	if n := len(l.asked); n < 500 || n > 601 {
		t.Errorf("%d questions in 10 minutes", n)
	}
}

// Whatever arrives: four strangers an address, 4,096 in all, one report an address in 10 s.
func TestFloodIsBounded(t *testing.T) {
	l := newLAN(t, 13)
	addrs := make([]netip.Addr, 1500)
	for i := range addrs {
		addrs[i] = netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		l.set.Follow(l.now, addrs[i].String(), []Place{{Addr: addrs[i], Interface: "eth0", Role: Speak, Defend: true}})
	}
	begin, n := l.now, uint32(0)
	for range 100 {
		for i := range 2000 {
			n++
			l.set.Heard(l.now, Sound{
				Kind: Claimed, Interface: "eth0", Addr: addrs[i%len(addrs)], Card: MAC{2, 0xff, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)},
			})
		}
		l.run(100 * time.Millisecond)
	}
	if l.set.Len() > MaxStrangersAll || len(l.set.verdicts) > MaxStrangersAll {
		t.Errorf("%d strangers, %d verdicts", l.set.Len(), len(l.set.verdicts))
	}
	for _, p := range l.set.queue {
		if len(p.strangers) > MaxStrangers {
			t.Fatalf("%d strangers of one address", len(p.strangers))
		}
	}
	seconds := int((l.now-begin)/time.Second) + 1
	last := map[netip.Addr]Time{}
	defended, reports := map[netip.Addr]int{}, 0
	for i, o := range l.log {
		switch o := o.(type) {
		case Defend:
			defended[o.Addr]++
		case Report:
			reports++
			if at, ok := last[o.Addr]; ok && l.at[i]-at < ReportInterval {
				t.Fatalf("two reports of %s within %s", o.Addr, l.at[i]-at)
			}
			last[o.Addr] = l.at[i]
		}
	}
	for addr, n := range defended {
		if n > seconds/10+1 {
			t.Errorf("%d defences of %s", n, addr)
		}
	}
	if reports > 10*seconds || l.control > 8*seconds || reports == 0 {
		t.Errorf("%d reports, %d control questions in %d s", reports, l.control, seconds)
	}
}
