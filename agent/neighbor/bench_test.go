// SPDX-License-Identifier: Apache-2.0

package neighbor_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// From frame to verdict: what is answered, and what is for others, with few addresses and
// with thousands. A frame costs no allocation.
func BenchmarkDecide(b *testing.B) {
	frames := hotFrames(b)
	frames["ICMP"], frames["ICMPv6"] = ping4().frame(b), ping6().frame(b)
	for _, name := range slices.Sorted(maps.Keys(frames)) {
		for _, size := range []int{1, 5000} {
			all := slices.Collect(fuzzTable(0).All())
			for i := range size - 1 {
				all = append(all, neighbor.Entry{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Voice: true})
			}
			tab := neighbor.NewTable(self(), all)
			buf := make([]byte, 0, neighbor.ReplySize)
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					tab.Decide(buf, frames[name], open())
				}
			})
		}
	}
}

// What a mark costs in a frame that is sent, and in one that is received.
func BenchmarkMark(b *testing.B) {
	buf := neighbor.AppendMark(nil, mark(), vip4, ourMAC, secret)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			neighbor.AppendMark(buf[:0], mark(), vip4, ourMAC, secret)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			neighbor.ParseMark(buf, vip4, ourMAC, secret)
		}
	})
}
