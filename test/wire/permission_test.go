// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// childEnv has this test's binary run child instead of the tests.
const childEnv = "ARPEGGIO_WIRE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	// Most of these tests wait for a kernel's timers, not for a CPU.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// child is an agent as it is in its container: it runs a port on eth0, says what became of
// it and what it may do, and answers until its input ends.
func child() {
	pulse := &wire.Pulse{}
	states := make(chan wire.State, 10)
	port, err := wire.New(wire.Config{Interface: "eth0", Pulse: pulse, Changed: func(s wire.State) { states <- s }})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	snapshot, err := link.Read()
	if err != nil {
		fmt.Println("error", err)
		return
	}
	eth0, ok := snapshot.Find("eth0")
	fmt.Println("link", ok, eth0.MAC, len(eth0.Prefixes))
	port.SetTable(neighbor.NewTable(neighbor.Self{MAC: eth0.MAC, LinkLocal: eth0.LinkLocal}, []neighbor.Entry{{Addr: vip4, Voice: true}, {Addr: vip6, Voice: true}}))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			pulse.Tick(wire.Boottime())
			time.Sleep(20 * time.Millisecond)
		}
	}()
	go func() { _ = port.Run(ctx) }()
	s := <-states
	fmt.Println("port", s.Up, errors.Is(s.Err, os.ErrPermission), s.Err)
	fmt.Println("effective", effective())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// effective lists the distinct effective capability sets of all threads.
func effective() string {
	files, _ := filepath.Glob("/proc/self/task/*/status")
	sets := map[string]bool{}
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "CapEff:"); ok {
				sets[strings.TrimSpace(v)] = true
			}
		}
	}
	var all []string
	for s := range sets {
		all = append(all, s)
	}
	return strings.Join(all, ",")
}

// runChild runs a copy of this binary with a file capability in the namespace, as the user
// of the image, and gives its first three lines.
func (h *host) runChild(t *testing.T, capability string) (lines []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "arpeggio-wire-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "agent")
	command(t, "install", "-m", "755", self, binary)
	if capability != "" {
		command(t, "setcap", capability, binary)
	}
	cmd := exec.Command(binary)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.in(cmd.Start)
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	for s := bufio.NewScanner(out); len(lines) < 3 && s.Scan(); {
		lines = append(lines, s.Text())
	}
	if len(lines) < 3 {
		t.Fatalf("the agent said only %q", lines)
	}
	return lines
}

const noCapability = "effective 0000000000000000"

// The binary has the capability permitted, not effective: it raises it to open a socket, and
// lowers it again.
func TestPortRunsAsAnyUserWithAPermittedFileCapability(t *testing.T) {
	l := newLab(t)
	client, h := l.host("client"), l.host("node1")
	lines := h.runChild(t, "cap_net_raw+p")
	if want := fmt.Sprintf("link true %v 2", h.mac); lines[0] != want {
		t.Errorf("%q, want %q", lines[0], want)
	}
	if lines[1] != "port true false <nil>" || lines[2] != noCapability {
		t.Errorf("%q, %q", lines[1], lines[2])
	}
	eventually(t, 3*time.Second, "known to the bridge", l.knows("node1", neighbor.SolicitedNode(vip6)))
	client.wantAnswer(h.mac.String())
}

func TestPortWithoutTheCapabilitySaysWhatIsMissing(t *testing.T) {
	h := newLab(t).host("node1")
	lines := h.runChild(t, "")
	if !strings.HasPrefix(lines[1], "port false true ") || !strings.Contains(lines[1], "NET_RAW") ||
		!strings.Contains(lines[1], "setcap cap_net_raw+p") || lines[2] != noCapability {
		t.Errorf("%q, %q", lines[1], lines[2])
	}
}
