// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net"
	"strings"
	"testing"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// An interface that is none: as any user the socket cannot be opened, as root not bound.
func TestEchoSocketsFailAlone(t *testing.T) {
	p, err := New(Config{Interface: "gone0", Pulse: &Pulse{}})
	if err != nil {
		t.Fatal(err)
	}
	e := newEchoes(p, &net.Interface{Name: "gone0", Index: 1 << 30})
	pings := neighbor.NewTable(neighbor.Self{}, []neighbor.Entry{{Addr: one4, Ping: true}})
	e.follow(t.Context(), pings, false)
	if e.err == nil || !strings.Contains(e.err.Error(), "opening the socket of ICMP echo on gone0") || e.retry == nil {
		t.Fatalf("error %v", e.err)
	}
	first := e.err.Error()
	e.follow(t.Context(), pings, false)
	if n := p.Counters().EchoErrors; n != 1 {
		t.Errorf("tried %d times before its time", n)
	}
	e.follow(t.Context(), pings, true)
	if n := p.Counters().EchoErrors; n != 2 || e.err.Error() != first || e.retry == nil {
		t.Errorf("tried %d times, error %v", n, e.err)
	}
	e.follow(t.Context(), tableOf(one4), false)
	if e.err != nil {
		t.Errorf("nobody pings any more, but %v", e.err)
	}
	e.close()
}
