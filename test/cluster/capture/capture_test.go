// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func raw(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	arpQuestion = `ffffffffffff 027700000001 0806 0001 0800 06 04 0001 027700000001 c0a84d01 000000000000 c0a84dc8`
	arpAnswer   = `027700000001 027700000011 0806 0001 0800 06 04 0002 027700000011 c0a84dc8 027700000001 c0a84d01`
	gratuitous  = `ffffffffffff 027700000011 0806 0001 0800 06 04 0001 027700000011 c0a84dc8 000000000000 c0a84dc8`
	arpProbe    = `ffffffffffff 027700000011 0806 0001 0800 06 04 0001 027700000011 00000000 000000000000 c0a84dc8`
	solicit     = `3333ff000200 027700000001 86dd 60000000 0020 3a ff fd000077000000000000000000000001
		ff0200000000000000000001ff000200 8700 0000 00000000 fd000077000000000000000000000200 0101 027700000001`
	advertise = `333300000001 027700000011 86dd 60000000 0020 3a ff fd000077000000000000000000000011
		ff020000000000000000000000000001 8800 0000 20000000 fd000077000000000000000000000200 0201 027700000012`
)

var (
	four = netip.MustParseAddr("192.168.77.200")
	six  = netip.MustParseAddr("fd00:77::200")
)

func TestParse(t *testing.T) {
	const gateway, node, other = "02:77:00:00:00:01", "02:77:00:00:00:11", "02:77:00:00:00:12"
	for name, test := range map[string]struct {
		frame string
		want  Frame
	}{
		"who has":             {arpQuestion, Frame{Kind: Question, Addr: four, MAC: gateway, Source: gateway, Destination: "ff:ff:ff:ff:ff:ff", Asker: netip.MustParseAddr("192.168.77.1")}},
		"is at":               {arpAnswer, Frame{Kind: ARPReply, Addr: four, MAC: node, Source: node, Destination: gateway}},
		"gratuitous":          {gratuitous, Frame{Kind: ARPClaim, Addr: four, MAC: node, Source: node, Destination: "ff:ff:ff:ff:ff:ff"}},
		"probe claims naught": {arpProbe, Frame{Kind: Question, Addr: four, MAC: node, Source: node, Destination: "ff:ff:ff:ff:ff:ff"}},
		"solicitation":        {solicit, Frame{Kind: Question, Addr: six, MAC: gateway, Source: gateway, Destination: "33:33:ff:00:02:00", Asker: netip.MustParseAddr("fd00:77::1")}},
		"advertisement":       {advertise, Frame{Kind: Advertisement, Addr: six, MAC: other, Source: node, Destination: "33:33:00:00:00:01", Override: true}},
	} {
		if got, ok := Parse(raw(t, test.frame)); !ok || got != test.want {
			t.Errorf("%s: %+v (%v), want %+v", name, got, ok, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	change := func(text string, at int, to byte) []byte {
		b := raw(t, text)
		b[at] = to
		return b
	}
	for name, frame := range map[string][]byte{
		"another protocol":             change(arpAnswer, 12, 0x88),
		"hardware that is no Ethernet": change(arpAnswer, 15, 6),
		"an unknown operation":         change(arpAnswer, 21, 3),
		"a hop limit below 255":        change(advertise, 14+7, 254),
		"another ICMPv6 message":       change(advertise, 14+40, 128),
		"UDP":                          change(advertise, 14+6, 17),
	} {
		if got, ok := Parse(frame); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, text := range []string{arpAnswer, advertise} {
		whole := raw(t, text)
		for n := range len(whole) - 8 { // without its option, an advertisement is still one
			if got, ok := Parse(whole[:n]); ok {
				t.Errorf("the first %d bytes: %+v", n, got)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{arpQuestion, arpAnswer, gratuitous, arpProbe, solicit, advertise} {
		f.Add(raw(f, text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if frame, ok := Parse(b); ok && (!frame.Addr.IsValid() || frame.MAC == "" || frame.Kind == "") {
			t.Errorf("%x: %+v", b, frame)
		}
	})
}

func TestVoices(t *testing.T) {
	start := time.Unix(1000, 0)
	// said writes who answers when: "a0 a10 b20" is MAC a after 0 and 10 ms, b after 20 ms; "?" asks.
	said := func(text string) []Frame {
		var frames []Frame
		for _, word := range strings.Fields(text) {
			d, err := time.ParseDuration(word[1:] + "ms")
			if err != nil {
				t.Fatal(err)
			}
			f := Frame{Time: start.Add(d), Kind: ARPReply, Addr: four, MAC: word[:1]}
			if f.MAC == "?" {
				f.Kind = Question
			}
			frames = append(frames, f)
		}
		return frames
	}
	for name, test := range map[string]struct {
		frames  string
		overlap time.Duration
		macs    string
	}{
		"one":                     {"?0 a1 ?10 a11", 0, "a"},
		"one after the other":     {"a0 a10 b20 b30", 0, "a b"},
		"at the same instant":     {"a0 a10 b10 b30", 0, "a b"},
		"both at once":            {"a0 a10 b20 a30 b40 a50 b60", 30 * time.Millisecond, "a b"},
		"a late word":             {"a0 b10 b20 a25 b30", 15 * time.Millisecond, "a b"},
		"back after the window":   {"a0 b10 b90 b150 a200", 0, "a b"},
		"back within the window":  {"a0 b10 b20 a80", 10 * time.Millisecond, "a b"},
		"the longest of overlaps": {"a0 b5 a10 b200 c205 b240 c250 c300", 35 * time.Millisecond, "a b c"},
	} {
		frames := said(test.frames)
		slices.Reverse(frames) // the order does not matter
		got := Voices(frames, 100*time.Millisecond)[four]
		if got.Overlap != test.overlap || strings.Join(got.MACs(), " ") != test.macs {
			t.Errorf("%s: %s, MACs %v; want overlap %s, MACs %s", name, got, got.MACs(), test.overlap, test.macs)
		}
	}
	if got := Voices(said("?0 ?10"), time.Second); len(got) != 0 {
		t.Errorf("questions alone: %v", got)
	}
}

func TestVoicesKeepsKindsAndAddressesApart(t *testing.T) {
	at := time.Unix(1000, 0)
	frames := []Frame{
		{Time: at, Kind: ARPReply, Addr: four, MAC: "a"}, {Time: at, Kind: ARPClaim, Addr: four, MAC: "a"},
		{Time: at, Kind: ARPClaim, Addr: four, MAC: "a"}, {Time: at, Kind: Advertisement, Addr: six, MAC: "b"},
	}
	got := Voices(frames, time.Second)
	if s := got[four].Spans; len(s) != 1 || s[0].Answers[ARPReply] != 1 || s[0].Answers[ARPClaim] != 2 {
		t.Errorf("IPv4: %v", got[four])
	}
	if s := got[six].Spans; len(s) != 1 || s[0].Answers[Advertisement] != 1 {
		t.Errorf("IPv6: %v", got[six])
	}
	if of := Of(frames, six); len(of) != 1 || of[0].MAC != "b" {
		t.Errorf("frames of %s: %v", six, of)
	}
}
