// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// floodEnv is how many frames a second a flood has: make wire has one that deserves the name;
// without it the machine has room for something else.
const floodEnv = "ARPEGGIO_FLOOD_RATE"

func floodRate(t *testing.T) int {
	t.Helper()
	v := os.Getenv(floodEnv)
	if v == "" {
		return 500
	}
	rate, err := strconv.Atoi(v)
	if err != nil || rate < 100 {
		t.Fatalf("%s=%q: want frames a second, 100 at least", floodEnv, v)
	}
	return rate
}

// flood sends the frames in turn at that rate, for so long, and gives how many went out.
func (h *host) flood(rate int, long time.Duration, frames ...[]byte) (sent int) {
	h.t.Helper()
	h.in(func() error {
		ifi, err := net.InterfaceByName(h.card)
		if err != nil {
			return err
		}
		c, err := packet.Listen(ifi, packet.Raw, 0, nil) // 0: receives nothing
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		start := time.Now()
		return raw.Control(func(fd uintptr) {
			for elapsed := time.Duration(0); elapsed < long; elapsed = time.Since(start) {
				for due := int(elapsed.Seconds() * float64(rate)); sent < due; sent++ {
					if _, err := unix.Write(int(fd), frames[sent%len(frames)]); err != nil {
						time.Sleep(time.Millisecond) // the queue is full
					}
				}
				time.Sleep(time.Millisecond)
			}
		})
	})
	return sent
}

// memory is what the process holds, once what nobody holds is gone.
func memory() (heap uint64, goroutines int) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

// Two seconds of questions for others, questions for the VIPs, broken solicitations and
// claims of a stranger, mixed. Others are still answered meanwhile; each frame is counted by
// what it was; and nothing of it is kept. (There is no line of log to count: a port has no
// logger, and says nothing but its State.) Not parallel: it measures the whole process.
func TestFloodIsCountedAndNotKept(t *testing.T) {
	l := newLab(t)
	client, attacker, n := l.host("client"), l.host("attacker"), l.node("node1")
	l.speak(n)
	n.fitted(2)
	for len(n.states) > 0 {
		<-n.states
	}
	everyone, nothing := neighbor.Broadcast(), neighbor.MAC{}
	me4, me6 := attacker.ipv4(), attacker.linkLocal()
	frames := [][]byte{
		arpFrame(everyone, arp.OperationRequest, attacker.mac, me4, nothing, vip4.Next()),
		arpFrame(everyone, arp.OperationRequest, attacker.mac, me4, nothing, vip4),
		changed(solicitation(attacker.mac, me6, vip6), atICMP6+2, 1, 2),
		arpFrame(everyone, arp.OperationRequest, attacker.mac, vip4, nothing, vip4),
		solicitation(attacker.mac, me6, vip6),
	}
	before := n.Counters()
	heap, goroutines := memory()
	flooded := make(chan int)
	go func() { flooded <- attacker.flood(floodRate(t), 2*time.Second, frames...) }()
	for range 3 {
		client.wantAnswer(n.mac.String())
	}
	sent := <-flooded
	each := uint64(sent / len(frames))
	time.Sleep(100 * time.Millisecond) // the last are read
	after := n.Counters()
	lost := after.Overflows - before.Overflows + (after.Drops[neighbor.DropStale] - before.Drops[neighbor.DropStale])
	t.Logf("%d frames sent; %d passed the filter, %d replies, %d did not fit into the queue or came too late",
		sent, after.Frames-before.Frames, after.Replies-before.Replies, lost)
	least := func(what string, got, want uint64) {
		t.Helper()
		if got+lost < want {
			t.Errorf("%s: %d, and %d lost; want %d", what, got, lost, want)
		}
	}
	least("wrong sums", after.Drops[neighbor.DropChecksum]-before.Drops[neighbor.DropChecksum], each)
	least("claims", after.Drops[neighbor.DropNotAQuestion]-before.Drops[neighbor.DropNotAQuestion], each)
	least("claims told or lost", after.Heard+after.HeardLost-before.Heard-before.HeardLost, each)
	least("replies", after.Replies-before.Replies, 2*each)
	if passed := after.Frames - before.Frames; passed > uint64(sent)-each+100 {
		t.Errorf("%d of %d frames passed the filter: it let pass what is for others", passed, sent)
	}
	if len(n.states) > 0 || after.Dials != 1 {
		t.Errorf("the port changed its state %d times, %+v now, after %d dials", len(n.states), n.State(), after.Dials)
	}
	for len(n.heard) > 0 {
		<-n.heard
	}
	h, g := memory()
	if h > heap+4<<20 || g > goroutines+2 {
		t.Errorf("%d KiB and %d goroutines more than before", (int64(h)-int64(heap))>>10, g-goroutines)
	}
	client.wantAnswer(n.mac.String())
}
