// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/link"
)

// An MTU too small for IPv6 (1280, RFC 8200 section 5) ends it on the interface: the kernel
// forgets the memberships that sockets still hold.
func TestGroupsComeBackAfterAnMTUTooSmallForIPv6(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	client, n := l.host("client"), l.node("node1")
	l.speak(n)
	w := watch(t, &host{t: t, ns: n.ns})
	mtu := func(octets string, want int) {
		n.ip("link set eth0 mtu " + octets)
		w.until("MTU "+octets, func(s link.Snapshot) bool {
			i, ok := s.Find("eth0")
			return ok && i.MTU == want
		})
		n.speak() // as the agent does when the link changes
	}
	mtu("1200", 1200)
	mtu("1500", 1500)
	eventually(t, 8*time.Second, "joined again: "+n.ip("maddr show dev eth0"), func() bool {
		return strings.Contains(n.ip("maddr show dev eth0"), "ff02::1:fff0:240")
	})
	client.wantAnswer(n.mac.String())
}
