// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// groups are the multicast groups an interface is a member of for our sake. They are
// joined at the level of IP, not of the packet socket: only then does the kernel send the
// MLD reports (RFC 3810) by which snooping switches learn where the group's frames go, and
// let the group's MAC through the card.
//
// A socket may be a member of some hundreds to thousands of groups (net.core.optmem_max);
// when one is full the next is opened. Used by the goroutine of Port.Run alone.
type groups struct {
	index   int
	sockets []int              // file descriptors
	joined  map[netip.Addr]int // group to index in sockets
}

func newGroups(index int) *groups {
	return &groups{index: index, joined: map[netip.Addr]int{}}
}

// set leaves the groups that are not wanted and joins those that are. It goes on after
// an error, and gives the number of groups that could not be joined with the first error.
func (g *groups) set(want map[netip.Addr]int) (failed int, err error) {
	for addr, i := range g.joined {
		if want[addr] > 0 {
			continue
		}
		mreq := g.mreq(addr)
		// An error means that the interface has gone, and the membership with it.
		_ = unix.SetsockoptIPv6Mreq(g.sockets[i], unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, &mreq)
		delete(g.joined, addr)
	}
	for _, addr := range slices.SortedFunc(maps.Keys(want), netip.Addr.Compare) {
		if _, ok := g.joined[addr]; ok {
			continue
		}
		if e := g.join(addr); e != nil {
			failed++
			if err == nil {
				err = fmt.Errorf("joining %v: %w", addr, e)
			}
		}
	}
	return failed, err
}

// join tries the newest socket first, then the others, which may have room again, then a
// new one.
func (g *groups) join(addr netip.Addr) error {
	mreq := g.mreq(addr)
	for i := len(g.sockets) - 1; i >= 0; i-- {
		err := unix.SetsockoptIPv6Mreq(g.sockets[i], unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &mreq)
		if err == nil {
			g.joined[addr] = i
			return nil
		}
		if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &mreq); err != nil {
		_ = unix.Close(fd)
		return err
	}
	g.joined[addr] = len(g.sockets)
	g.sockets = append(g.sockets, fd)
	return nil
}

// forgotten tells whether the kernel has lost a membership that a socket still holds: it ends IPv6
// on an interface whose MTU becomes too small for it (1280, RFC 8200 section 5), or when it is
// switched off, and what was joined before does not come back with it.
func (g *groups) forgotten() bool {
	if len(g.joined) == 0 {
		return false
	}
	f, err := os.Open("/proc/thread-self/net/igmp6")
	if err != nil {
		return false // no IPv6 at all: joining says so
	}
	defer func() { _ = f.Close() }()
	found := 0
	for lines := bufio.NewScanner(f); lines.Scan(); { // index, name, group, users, flags, timer
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[0] != strconv.Itoa(g.index) {
			continue
		}
		if b, err := hex.DecodeString(fields[2]); err == nil && len(b) == 16 {
			if _, ok := g.joined[netip.AddrFrom16([16]byte(b))]; ok {
				found++
			}
		}
	}
	return found < len(g.joined)
}

func (g *groups) mreq(addr netip.Addr) unix.IPv6Mreq {
	return unix.IPv6Mreq{Multiaddr: addr.As16(), Interface: uint32(g.index)}
}

// Close leaves all groups.
func (g *groups) Close() {
	for _, fd := range g.sockets {
		_ = unix.Close(fd)
	}
	g.sockets, g.joined = nil, map[netip.Addr]int{}
}
