// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// captured is a frame that tcpdump has seen, with what tcpdump says of it.
type captured struct {
	at    time.Time
	frame []byte
	text  string
}

// capture has tcpdump record the frames that come from a card on this host's, until the
// function that it gives is called.
func (h *host) capture(from string) (stop func() []captured) {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "pcap")
	cmd := exec.Command("ip", "netns", "exec", h.ns, "tcpdump", "-i", h.card, "-n", "-U", "--immediate-mode",
		"--time-stamp-precision=nano", "-Z", "root", "-w", file, "ether", "src", from)
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = cmd.Process.Kill() }) // of no effect once it has ended
	for s := bufio.NewScanner(out); ; {
		if !s.Scan() {
			h.t.Fatal("tcpdump ended before it listened")
		}
		if strings.Contains(s.Text(), "listening on") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return func() []captured {
		h.t.Helper()
		time.Sleep(20 * time.Millisecond) // for the last frame to be written
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
		return readCapture(h.t, file)
	}
}

// readCapture reads a file of libpcap, and has tcpdump decode it.
func readCapture(t *testing.T, file string) []captured {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const headerSize, recordSize, magicNano = 24, 16, 0xa1b23c4d
	if len(b) < headerSize || binary.NativeEndian.Uint32(b) != magicNano {
		t.Fatalf("not a capture: %d octets", len(b))
	}
	var packets []captured
	for b = b[headerSize:]; len(b) >= recordSize; {
		size := recordSize + int(binary.NativeEndian.Uint32(b[8:]))
		packets = append(packets, captured{
			at:    time.Unix(int64(binary.NativeEndian.Uint32(b)), int64(binary.NativeEndian.Uint32(b[4:]))),
			frame: b[recordSize:size],
		})
		b = b[size:]
	}
	n := -1
	for line := range strings.Lines(command(t, "tcpdump", "-r", file, "-e", "-n", "-vvv", "-tt")) {
		if regexp.MustCompile(`^[0-9]+\.[0-9]+ `).MatchString(line) {
			n++
		}
		if n >= 0 && n < len(packets) {
			packets[n].text += line
		}
	}
	if n+1 != len(packets) {
		t.Fatalf("tcpdump decodes %d of %d packets", n+1, len(packets))
	}
	for _, p := range packets {
		p.sound(t)
	}
	return packets
}

// objections are what tcpdump says of a packet that it does not like.
var objections = regexp.MustCompile(`bad|incorrect|wrong|invalid|malformed|truncated|\[\|`)

// sound wants tcpdump to have nothing against the packet.
func (p captured) sound(t *testing.T) {
	t.Helper()
	icmp6 := strings.Contains(p.text, "ICMP6")
	if objections.MatchString(p.text) || icmp6 && !strings.Contains(p.text, "[icmp6 sum ok]") {
		t.Errorf("tcpdump objects:\n%s", p.text)
	}
}

// says is whether tcpdump's words for the packet have all of these.
func (p captured) says(words ...string) bool {
	for _, w := range words {
		if !strings.Contains(p.text, w) {
			return false
		}
	}
	return true
}
