// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"
	"time"
)

// A loose contact: thirty flaps, some shorter than it takes to open a socket. At the end there
// are as many sockets as before, and all groups.
func TestPortSurvivesManyFlaps(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	sockets := n.packetSockets()
	for i := range 30 {
		n.ip("link set eth0 down")
		time.Sleep(time.Duration(i%4) * 10 * time.Millisecond)
		n.ip("link set eth0 up")
		n.speak()
		time.Sleep(time.Duration(i%3) * 15 * time.Millisecond)
	}
	n.speak()
	eventually(t, 2*time.Second, "up", n.Ready)
	l.known(n)
	client.wantAnswer(n.mac.String())
	if got := n.packetSockets(); got != sockets {
		t.Errorf("%d sockets, before %d", got, sockets)
	}
	if c := n.Counters(); c.Groups != 1 || c.Dials > 100 {
		t.Errorf("counters %+v", c)
	}
}

// Somebody turns IPv6 off on the interface, and on again: ARP goes on meanwhile, and the group
// is joined again.
func TestPortSurvivesIPv6TurnedOffAndOn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	n.sysctl("net.ipv6.conf.eth0.disable_ipv6=1")
	if got := client.answers(vip4); len(got) != 1 || got[0] != n.mac.String() {
		t.Errorf("without IPv6 %v is answered by %v", vip4, got)
	}
	n.sysctl("net.ipv6.conf.eth0.disable_ipv6=0")
	l.known(n)
	client.wantAnswer(n.mac.String())
}
