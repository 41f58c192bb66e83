// SPDX-License-Identifier: Apache-2.0

package wire

import "golang.org/x/net/bpf"

// The filters run in the kernel before a frame is queued, on the frame from its Ethernet
// header on. They are attached before the socket is bound, so no frame gets around them;
// the rules are checked once more by the table all the same.
//
// Both take only what was sent to this card, to everyone or to a group: frames for other
// cards arrive in promiscuous mode, and frames of a VLAN without an interface of its own
// arrive as such too, their tag already gone.
const (
	// PACKET_HOST, PACKET_BROADCAST and PACKET_MULTICAST are 0, 1 and 2; PACKET_OTHERHOST
	// and PACKET_OUTGOING are above.
	packetMulticast = 2

	wholeFrame = 0xffff
)

// arpFilter takes ARP for IPv4 on Ethernet.
func arpFilter() []bpf.Instruction {
	return matchAll([]match{
		{bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpLessOrEqual, packetMulticast},
		{bpf.LoadAbsolute{Off: 12, Size: 2}, bpf.JumpEqual, 0x0806},
		{bpf.LoadAbsolute{Off: 14, Size: 4}, bpf.JumpEqual, 1<<16 | 0x0800},
		{bpf.LoadAbsolute{Off: 18, Size: 2}, bpf.JumpEqual, 6<<8 | 4},
	})
}

// ndpFilter takes neighbour solicitations (135) and advertisements (136) that no router
// has forwarded (RFC 4861 section 7.1).
func ndpFilter() []bpf.Instruction {
	return matchAll([]match{
		{bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpLessOrEqual, packetMulticast},
		{bpf.LoadAbsolute{Off: 12, Size: 2}, bpf.JumpEqual, 0x86dd},
		{bpf.LoadAbsolute{Off: 20, Size: 2}, bpf.JumpEqual, 58<<8 | 255},
		{bpf.LoadAbsolute{Off: 54, Size: 1}, bpf.JumpGreaterOrEqual, 135},
		{nil, bpf.JumpLessOrEqual, 136},
	})
}

// match is one condition of a filter; without a load it is on what was loaded last.
type match struct {
	load bpf.Instruction
	test bpf.JumpTest
	val  uint32
}

// matchAll drops a frame at the first condition that does not hold. A load beyond the
// frame's end drops it as well.
func matchAll(ms []match) []bpf.Instruction {
	var prog []bpf.Instruction
	for _, m := range ms {
		if m.load != nil {
			prog = append(prog, m.load)
		}
		prog = append(prog,
			bpf.JumpIf{Cond: m.test, Val: m.val, SkipTrue: 1},
			bpf.RetConstant{Val: 0})
	}
	return append(prog, bpf.RetConstant{Val: wholeFrame})
}
