// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/netip"
	"slices"
	"strconv"
	"testing/synctest"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// answers gives the names of the nodes that answer for an address, once everything that
// happens at this instant has happened.
func (w *world) answers(addr string) []string {
	synctest.Wait()
	w.asked, w.replies = netip.MustParseAddr(addr), nil
	// Its mark is of no cluster the agents know, so it is a client's question to them.
	if q, ok := neighbor.Question(customer, w.asked, neighbor.Broadcast(), neighbor.OwnAddress, neighbor.Mark{}); ok {
		w.segment.Inject(q)
	}
	return w.replies
}

// customer is the host by which a world asks. It has an address, so it does not look like one that
// wants another.
var customer = neighbor.Self{
	MAC: neighbor.MAC{2, 0, 0, 0, 0xff, 0xff}, Cluster: [8]byte{'c', 'l', 'i', 'e', 'n', 't'},
	IPv4: netip.MustParseAddr("192.0.2.99"), LinkLocal: netip.MustParseAddr("fe80::ffff"),
}

// hear notes what the customer is answered.
func (w *world) hear(frame []byte) {
	if neighbor.MAC(frame[:6]) != customer.MAC {
		return
	}
	listener := neighbor.NewTable(customer, []neighbor.Entry{{Addr: w.asked}})
	if h := listener.Decide(nil, frame, neighbor.Gate{}).Heard; h.Sound == neighbor.HeardAnswer {
		w.replies = append(w.replies, "n"+strconv.Itoa(int(h.MAC[5])))
	}
}

// speaks fails the test unless this node alone answers for both addresses; empty: nobody.
func (w *world) speaks(node string) {
	w.t.Helper()
	var want []string
	if node != "" {
		want = []string{node}
	}
	for _, addr := range []string{vip4, vip6} {
		if got := w.answers(addr); !slices.Equal(got, want) {
			w.t.Errorf("%s: %v answer, want %v", addr, got, want)
		}
	}
}

// until waits until this node alone answers, and tells how long it took.
func (w *world) until(node string, bound time.Duration) time.Duration {
	w.t.Helper()
	start := time.Now()
	for {
		got := w.answers(vip4)
		if len(got) > 1 {
			w.t.Fatalf("two voices: %v", got)
		}
		if len(got) == 1 && got[0] == node {
			return time.Since(start)
		}
		if time.Since(start) > bound {
			w.t.Fatalf("%s does not answer within %s, but %v", node, bound, got)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
