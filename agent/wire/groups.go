// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/wire/mld"
)

// groupsPerSocket is how many groups one socket is a member of. The kernel walks the list of a
// socket to join and to leave, and waits for all its cores to close one: 5,000 groups take 36 ms to
// join by sockets of a thousand, 200 ms by one socket (Linux 6.18).
const groupsPerSocket = 1024

// groups are the multicast groups that the card lets in for our sake. They are joined at the card
// alone (packet(7), PACKET_ADD_MEMBERSHIP): the kernel's IPv6 knows nothing of them, so it has no
// list of them to search for each multicast packet, and reports none. That is done by package mld.
//
// The sockets receive nothing. Used by the goroutine of Port.Run alone.
type groups struct {
	index   int
	sockets []int // file descriptors
	room    []int // of each
	joined  map[netip.Addr]int
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
		// An error means that the interface has gone, and the membership with it.
		_ = g.change(i, unix.PACKET_DROP_MEMBERSHIP, addr)
		delete(g.joined, addr)
		g.room[i]++
	}
	missing := 0
	for addr := range want {
		if _, ok := g.joined[addr]; !ok {
			missing++
		}
	}
	if missing == 0 {
		return 0, nil
	}
	if err := g.makeRoom(missing); err != nil {
		return missing, err
	}
	i := 0
	for _, addr := range slices.SortedFunc(maps.Keys(want), netip.Addr.Compare) {
		if _, ok := g.joined[addr]; ok {
			continue
		}
		for g.room[i] == 0 {
			i++
		}
		if e := g.change(i, unix.PACKET_ADD_MEMBERSHIP, addr); e != nil {
			failed++
			if err == nil {
				err = fmt.Errorf("joining %v: %w", addr, e)
			}
			continue
		}
		g.joined[addr] = i
		g.room[i]--
	}
	return failed, err
}

// makeRoom opens as many sockets as n more groups need.
func (g *groups) makeRoom(n int) error {
	for _, r := range g.room {
		n -= r
	}
	if n <= 0 {
		return nil
	}
	return withNetRaw(func() error {
		for ; n > 0; n -= groupsPerSocket {
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("opening a socket for groups: %w", err)
			}
			g.sockets, g.room = append(g.sockets, fd), append(g.room, groupsPerSocket)
		}
		return nil
	})
}

func (g *groups) change(socket, option int, addr netip.Addr) error {
	mac := mld.EtherAddr(addr)
	mreq := unix.PacketMreq{Ifindex: int32(g.index), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(mac))} // #nosec G115 -- an index
	copy(mreq.Address[:], mac[:])
	return unix.SetsockoptPacketMreq(g.sockets[socket], unix.SOL_PACKET, option, &mreq)
}

// Close leaves all groups.
func (g *groups) Close() {
	for _, fd := range g.sockets {
		_ = unix.Close(fd)
	}
	g.sockets, g.room, g.joined = nil, nil, map[netip.Addr]int{}
}
