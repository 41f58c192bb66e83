// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"slices"
	"testing"

	"github.com/arpeggio-lb/arpeggio/agent/link"
)

// What agent/link says of the addresses that this node's kernel answers for is what the
// kernel does when a neighbour asks: wherever the address was left, and whatever arp_ignore is.
func TestKernelAnswersForWhatItIsSaidToAnswerFor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, h := l.host("client"), l.host("node1")
	h.ip("link add hold type veth peer name other")
	h.ip("link set hold up")
	h.ip("link set other up")
	answers := 0
	for _, place := range []string{"lo", "hold", "eth0"} {
		for _, addr := range vips {
			bits := 24
			if addr.Is6() {
				bits = 64
			}
			if place != "eth0" {
				bits = addr.BitLen() // a subnet on another interface would change the routes
			}
			for _, ignore := range []string{"0", "1", "2", "8"} {
				if addr.Is6() && ignore != "0" {
					continue
				}
				what := fmt.Sprintf("%v on %s, arp_ignore %s", addr, place, ignore)
				h.sysctl("net.ipv4.conf.eth0.arp_ignore=" + ignore)
				h.ip(fmt.Sprintf("addr add %v/%d dev %s", addr, bits, place))
				var s link.Snapshot
				h.in(func() (err error) {
					s, err = link.Read()
					return err
				})
				said := slices.ContainsFunc(s.Locals, func(a link.Local) bool {
					return a.Addr == addr && a.Interface == place && slices.Contains(a.On, "eth0")
				})
				t.Log(what, said)
				if said {
					answers++
					client.wantAnswers(addr, h.mac.String())
				} else {
					client.wantAnswers(addr, "")
				}
				h.ip(fmt.Sprintf("addr del %v/%d dev %s", addr, bits, place))
			}
		}
	}
	// ARP: on lo and hold by 0; on eth0 by 0, 1 and 2. NDP: on eth0.
	if answers != 6 {
		t.Errorf("%d answers in all", answers)
	}
}
