// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
)

func TestSummarize(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	requests := []request{
		{sent: at(30), answered: at(230), who: "b"}, // in any order
		{sent: at(0), answered: at(5), who: "a"},
		{sent: at(10), answered: at(15), who: "a"},
		{sent: at(20), err: errors.New("refused")},
		{sent: at(40), answered: at(231), who: "b"},
	}
	r := summarize(Config{Kind: ARP}, start, at(300), requests)
	if r.Sent != 5 || len(r.Lost) != 1 || !r.Lost[0].Equal(at(20)) || r.Errors["refused"] != 1 {
		t.Errorf("sent %d, lost %v, errors %v", r.Sent, r.Lost, r.Errors)
	}
	if r.Silence != (Silence{From: at(15), To: at(230)}) {
		t.Errorf("silence %+v", r.Silence)
	}
	if len(r.Turns) != 2 || r.Turns[0].Who != "a" || r.Turns[0].Answers != 2 || !r.Turns[1].First.Equal(at(230)) {
		t.Errorf("turns %+v", r.Turns)
	}
	if r := summarize(Config{Kind: UDP}, start, at(300), nil); r.Silence.Length() != 300*time.Millisecond {
		t.Errorf("no answer at all: silence %s", r.Silence.Length())
	}
	if r := summarize(Config{Kind: UDP}, start, at(300), requests[1:2]); r.Silence != (Silence{From: at(5), To: at(300)}) {
		t.Errorf("silence to the end: %+v", r.Silence)
	}
}

func TestMatchGivesAnAnswerToTheLastThatWaits(t *testing.T) {
	start := time.Unix(1000, 0)
	requests := []request{{sent: start}, {sent: start.Add(10 * time.Millisecond)}}
	for _, who := range []string{"x", "y", "z"} {
		match(requests, time.Second, who, start.Add(20*time.Millisecond))
	}
	if requests[1].who != "x" || requests[0].who != "y" {
		t.Errorf("%+v", requests)
	}
	old := []request{{sent: start}}
	match(old, time.Second, "x", start.Add(2*time.Second))
	if !old[0].answered.IsZero() {
		t.Error("a request was answered after its timeout")
	}
}

func TestQuestion(t *testing.T) {
	mac := net.HardwareAddr{2, 0x77, 0, 0, 0, 1}
	for _, pair := range [][2]string{{"192.168.77.1", "192.168.77.200"}, {"fd00:77::1", "fd00:77::1:2345"}} {
		source, target := netip.MustParseAddr(pair[0]), netip.MustParseAddr(pair[1])
		f, ok := capture.Parse(question(mac, source, target))
		if !ok || f.Kind != capture.Question || f.Addr != target || f.Asker != source || f.MAC != mac.String() {
			t.Errorf("%s: %+v (%v)", target, f, ok)
		}
		if target.Is6() && f.Destination != "33:33:ff:01:23:45" {
			t.Errorf("sent to %s, not to the solicited-node group", f.Destination)
		}
	}
}

// A message with its checksum in place sums to zero (RFC 1071).
func TestChecksum(t *testing.T) {
	b := question(net.HardwareAddr{2, 0x77, 0, 0, 0, 1}, netip.MustParseAddr("fd00:77::1"), netip.MustParseAddr("fd00:77::200"))
	if got := checksum([16]byte(b[22:38]), [16]byte(b[38:54]), b[54:]); got != 0 {
		t.Errorf("checksum over the whole: %#x", got)
	}
}

func TestValidate(t *testing.T) {
	four, six := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("[2001:db8::1]:80")
	for _, c := range []Config{
		{}, {Kind: "tcp", Target: four}, {Kind: UDP}, {Kind: HTTP, Target: netip.AddrPortFrom(four.Addr(), 0)},
		{Kind: Sweep, Target: four}, {Kind: Stream, Target: four, Connections: -1}, {Kind: ARP, Target: six}, {Kind: NDP, Target: four}, {Kind: UDP, Target: four, Interval: -1},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	for _, c := range []Config{{Kind: UDP, Target: six}, {Kind: ARP, Target: four}, {Kind: NDP, Target: six}, {Kind: Sweep, Targets: []netip.Addr{four.Addr(), six.Addr()}}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestRunAgainstServers(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("pod=a node=b client=" + r.RemoteAddr))
	}))
	defer web.Close()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	clients := make(chan string, 1000)
	go func() {
		buffer := make([]byte, 100)
		for {
			_, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			clients <- from.String()
			_, _ = packets.WriteTo([]byte("pod=a node=b client=x\nprobe"), from)
		}
	}()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, test := range map[string]struct {
		kind   Kind
		target string
		answer bool
	}{
		"http":    {HTTP, web.Listener.Addr().String(), true},
		"udp":     {UDP, packets.LocalAddr().String(), true},
		"silence": {UDP, silent.LocalAddr().String(), false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			r, err := Run(ctx, Config{Kind: test.kind, Target: netip.MustParseAddrPort(test.target), Timeout: 200 * time.Millisecond}, func() {})
			if err != nil {
				t.Fatal(err)
			}
			if r.Sent == 0 || (r.Answers["pod=a node=b"] == r.Sent) != test.answer || (len(r.Lost) == 0) != test.answer {
				t.Errorf("%s; answers %v, errors %v", r, r.Answers, r.Errors)
			}
		})
	}
	seen := map[string]bool{}
	for len(clients) > 0 {
		from := <-clients
		if seen[from] {
			t.Errorf("source port used twice: %s", from)
		}
		seen[from] = true
	}
}
