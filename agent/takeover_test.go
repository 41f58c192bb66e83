// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestCrashIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2", "n3")
		key := w.announce("web", "n1", "n2", "n3")
		w.until("n1", 5*time.Second)
		time.Sleep(20 * time.Second)
		w.nodes["n1"].kill()
		w.until("n2", 10*time.Second)
		time.Sleep(time.Second)
		w.speaks("n2")
		s := w.status(key)
		if s.Node != "n2" || len(s.History) != 2 || s.History[0].From != "n1" || s.History[0].TookMillis == 0 {
			t.Errorf("status %+v", s)
		}
		has(t, w.nodes["n2"].notes(), "VIPAnnounced", "takeover from n1 after", "owner silent")
	})
}

// Who cannot look at all that arrives does not take what it missed for silence: it goes by
// heartbeats while that lasts.
func TestLostFramesAreNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		w.nodes["n1"].kill()
		for range 40 {
			for _, p := range w.nodes["n2"].ports {
				p.Lose()
			}
			time.Sleep(50 * time.Millisecond)
		}
		if got := w.answers(vip4); len(got) > 0 {
			t.Errorf("%q answers: what it missed was taken for silence", got)
		}
		for range 200 {
			for _, p := range w.nodes["n2"].ports {
				p.Lose()
			}
			time.Sleep(50 * time.Millisecond)
		}
		w.speaks("n2")
	})
}

// What a node has received and not read yet is no silence either.
func TestWaitingFramesAreNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		n2 := w.nodes["n2"].ports[0]
		n2.SetBehind(true)
		w.nodes["n1"].kill()
		time.Sleep(2 * time.Second)
		if got := w.answers(vip4); len(got) > 0 {
			t.Errorf("%q answers: what it did not read was taken for silence", got)
		}
		n2.SetBehind(false)
		w.until("n2", time.Second)
	})
}

// Before the node's links are known, nobody concludes that there are none.
func TestRestartKeepsTheVIP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.isolated = true // or n2 would be quicker
		key := w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		w.nodes["n1"].kill()
		time.Sleep(500 * time.Millisecond)
		w.linksTake = time.Second
		w.boot("n1")
		w.until("n1", 3*time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		if s := w.status(key); s.Node != "n1" || len(s.History) != 1 || w.swaps != 1 {
			t.Errorf("%d swaps, status %+v", w.swaps, s)
		}
	})
}

// Cut from the API the speaker goes on, while others could contradict it.
func TestCutFromAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		w.nodes["n1"].cutAPI()
		for range 3000 {
			time.Sleep(10 * time.Millisecond)
			if got := w.answers(vip4); len(got) != 1 || got[0] != "n1" {
				t.Fatalf("%v answer", got)
			}
		}
		w.nodes["n1"].heal()
		time.Sleep(10 * time.Second)
		w.speaks("n1")
		if w.swaps != 1 {
			t.Errorf("%d swaps, want 1", w.swaps)
		}
	})
}

// Where no other node is heard, it falls silent before another may take its VIPs.
func TestCutFromAPIAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.isolated = true
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(10 * time.Second)
		w.nodes["n1"].cutAPI()
		w.until("n2", 15*time.Second)
		has(t, w.nodes["n1"].notes(), "VIPWithdrawn", "heartbeats do not reach")
	})
}

// A speaker that dies is found dead by the standby, with the gateway as its witness.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2", "n3")
		w.announce("web", "n1", "n2", "n3")
		w.until("n1", 5*time.Second)
		time.Sleep(20 * time.Second)
		w.nodes["n1"].kill()
		w.until("n2", 400*time.Millisecond)
		has(t, w.nodes["n2"].notes(), "VIPAnnounced", "owner silent on the wire")
	})
}

// Broadcasts do not reach the speaker, and it answers what it is asked alone: its standbys do not
// find it dead, but clients would not find it. It is told of, and hands over to one that says
// so.
func TestDeafToBroadcastsHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2", "n3")
		key := w.announce("web", "n1", "n2", "n3")
		w.until("n1", 5*time.Second)
		time.Sleep(20 * time.Second)
		for name, m := range w.nodes {
			if name != "n1" {
				w.segment.CutBroadcast(w.nodes["n1"].ports[0], m.ports[0])
			}
		}
		time.Sleep(20 * time.Second)
		if s := w.status(key); s.Node != "n1" {
			t.Errorf("status %+v", s)
		}
		time.Sleep(40 * time.Second)
		s := w.status(key)
		if s.Node == "n1" || len(s.History) != 2 || s.History[0].From != "n1" {
			t.Errorf("status %+v", s)
		}
		w.speaks(s.Node)
		has(t, w.nodes["n1"].notes(), "VIPHandedOver")
	})
}
