// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func TestLinkDownHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		key := w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		w.nodes["n1"].link()
		took := w.until("n2", 2*time.Second)
		if took > time.Second {
			t.Errorf("handed over after %s", took)
		}
		time.Sleep(time.Second)
		w.speaks("n2")
		if s := w.status(key); s.Node != "n2" {
			t.Errorf("status %+v", s)
		}
		has(t, w.nodes["n1"].notes(), "no interface to speak on")
		w.nodes["n1"].link(w.nodes["n1"].eth0()) // it does not come back for it
		time.Sleep(10 * time.Second)
		w.speaks("n2")
	})
}

// Sockets that cannot be opened are as good as no interface.
func TestPortThatFailsHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		w.nodes["n1"].failPorts(errors.New("operation not permitted"))
		time.Sleep(5 * time.Second)
		if h := w.holder("web"); h != "n2" {
			t.Errorf("%q holds the Lease of a VIP that n1 cannot speak for", h)
		}
		w.nodes["n1"].failPorts(nil)
		w.nodes["n2"].failPorts(errors.New("operation not permitted"))
		time.Sleep(5 * time.Second)
		if h := w.holder("web"); h != "n1" {
			t.Errorf("%q holds the Lease, want n1, whose port works again", h)
		}
	})
}

// A port that comes back announces its voices.
func TestPortThatComesBackAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1")
		w.announce("web", "n1")
		w.until("n1", 5*time.Second)
		time.Sleep(time.Minute)
		claims := 0
		listener := neighbor.NewTable(neighbor.Self{}, []neighbor.Entry{{Addr: netip.MustParseAddr(vip4)}})
		w.segment.Tap(func(frame []byte) {
			if listener.Decide(nil, frame, neighbor.Gate{}).Heard.Sound == neighbor.HeardClaim {
				claims++
			}
		})
		w.nodes["n1"].failPorts(errors.New("network is down"))
		time.Sleep(300 * time.Millisecond)
		w.nodes["n1"].failPorts(nil)
		time.Sleep(300 * time.Millisecond)
		w.speaks("n1")
		if claims == 0 {
			t.Error("nothing was announced")
		}
	})
}

// A new MAC is announced and reported, and is no new voice.
func TestNewMACIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1")
		key := w.announce("web", "n1")
		w.until("n1", 5*time.Second)
		eth0 := w.nodes["n1"].eth0()
		eth0.MAC = neighbor.MAC{2, 0, 0, 0, 1, 1}
		w.nodes["n1"].link(link.Interface{Name: "dummy0", MAC: neighbor.MAC{2, 7}}, eth0)
		time.Sleep(time.Second)
		s := w.status(key)
		if s.Addresses[0].MAC != "02:00:00:00:01:01" || len(s.History) != 1 || len(w.nodes["n1"].notes()) != 1 {
			t.Errorf("status %+v, Events %q", s, w.nodes["n1"].notes())
		}
		w.speaks("n1")
	})
}
