// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asOther runs f in a thread that belongs to another user; needs root.
func asOther(t *testing.T, f func() error) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); e != 0 {
			done <- e
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// connect connects as this user.
func connect(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	return c.(*net.UnixConn)
}

// closed fails the test unless the other side ends the connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the connection is not ended: %v", err)
	}
}

const hello = `{"version":1,"incarnation":"x"}` + "\n"

// Nothing that a successor says does harm, and an honest one inherits beside all of them.
func TestHostileSuccessors(t *testing.T) {
	name := name(t)
	old := start(t, name, "old", true)
	old.holds(t)
	for what, line := range map[string]string{
		"no JSON":         "hello\n",
		"no end":          strings.Repeat("x", 2*maxSaid),
		"long":            `{"version":1,"incarnation":"` + strings.Repeat("x", 2*maxSaid) + `"}` + "\n",
		"deep":            strings.Repeat("[", 4000) + "\n",
		"another version": `{"version":2,"ready":true}` + "\n",
		"no version":      `{"ready":true}` + "\n",
		"wrong type":      `{"version":1,"ready":"yes"}` + "\n",
		"zeros":           string(make([]byte, maxSaid)) + "\n",
		"nonsense later":  hello + "?\n",
		"too much":        strings.Repeat(hello, maxLines+2),
	} {
		t.Run(what, func(t *testing.T) {
			c := connect(t, name)
			_, _ = c.Write([]byte(line)) // it may be refused in the middle
			closed(t, c)
		})
	}
	t.Run("silent", func(t *testing.T) {
		c := connect(t, name)
		begun := time.Now()
		closed(t, c)
		if took := time.Since(begun); took < helloBound/2 || took > 2*helloBound {
			t.Errorf("ended after %s", took)
		}
	})
	t.Run("with descriptors", func(t *testing.T) {
		before := descriptors(t)
		c := connect(t, name)
		for range 3 {
			if _, _, err := c.WriteMsgUnix([]byte("?"), unix.UnixRights(0, 1, 2), nil); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = c.Write([]byte("\n"))
		closed(t, c)
		_ = c.Close()
		eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= before })
	})
	t.Run("took without being given", func(t *testing.T) {
		c := connect(t, name)
		if _, err := c.Write([]byte(hello + `{"version":1,"took":true}` + "\n")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it waits", func() bool { return old.waiting() == 1 })
		if err := old.Bequeath(t.Context(), voices(1)); !errors.Is(err, ErrNoSuccessor) {
			t.Errorf("got %v", err)
		}
	})
	eventually(t, "all are gone", func() bool { return old.waiting() == 0 })
	var many []net.Conn
	for range maxHeirs {
		c := connect(t, name)
		if _, err := c.Write([]byte(hello)); err != nil {
			t.Fatal(err)
		}
		many = append(many, c)
	}
	eventually(t, "all places are taken", func() bool { return old.waiting() == maxHeirs })
	closed(t, connect(t, name))
	_ = many[0].Close()
	heir := start(t, name, "new", true)
	eventually(t, "an honest one is ready", old.Successor)
	if err := old.Bequeath(t.Context(), voices(3)); err != nil {
		t.Fatal(err)
	}
	if got := heir.holds(t); len(got.Voices) != 3 {
		t.Errorf("inherited %+v", got)
	}
}

// A successor that does not read what it is given is given up, and the next one inherits.
func TestDeafSuccessor(t *testing.T) {
	name := name(t)
	old := start(t, name, "old", true)
	old.holds(t)
	heir := start(t, name, "new", true)
	eventually(t, "an honest one is ready", old.Successor)
	c := connect(t, name)
	if _, err := c.Write([]byte(hello + `{"version":1,"ready":true}` + "\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deaf one is the last", func() bool {
		old.mu.Lock()
		defer old.mu.Unlock()
		return old.last() != nil && old.last().incarnation == "x"
	})
	// More than the socket's buffer holds, so that it cannot have been given whole.
	if err := old.Bequeath(t.Context(), voices(8000)); err != nil {
		t.Fatal(err)
	}
	if got := heir.holds(t); len(got.Voices) != 8000 {
		t.Errorf("inherited %d voices", len(got.Voices))
	}
}

func TestTooMuchToGive(t *testing.T) {
	name := name(t)
	old := start(t, name, "old", true)
	old.holds(t)
	heir := start(t, name, "new", true)
	eventually(t, "the successor is ready", old.Successor)
	if err := old.Bequeath(t.Context(), voices(60000)); err == nil || errors.Is(err, ErrUnconfirmed) {
		t.Errorf("got %v", err)
	}
	heir.waits(t)
}

// Another user's process is no successor, whatever it says.
func TestForeignSuccessor(t *testing.T) {
	name := name(t)
	old := start(t, name, "old", true)
	old.holds(t)
	asOther(t, func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
			return err
		}
		_, _ = unix.Write(fd, []byte(hello+`{"version":1,"ready":true}`+"\n")) // it may be too late
		buf := make([]byte, 16)
		if n, err := unix.Read(fd, buf); n > 0 {
			return errors.New("it is answered: " + string(buf[:n]))
		} else if err != nil && !errors.Is(err, unix.ECONNRESET) {
			return err
		}
		return nil
	})
	if old.Successor() || old.waiting() != 0 {
		t.Error("it is a successor")
	}
}

// A holder that is another user's process is not waited for in silence.
func TestForeignHolder(t *testing.T) {
	name := name(t)
	var fd int
	asOther(t, func() (err error) {
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
			return err
		}
		if err = unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
			return err
		}
		return unix.Listen(fd, 8)
	})
	heir := start(t, name, "new", true)
	eventually(t, "it says so", func() bool { return errors.Is(heir.Blocked(), ErrForeign) })
	heir.waits(t)
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	if heir.holds(t); heir.Blocked() != nil {
		t.Errorf("blocked by %v", heir.Blocked())
	}
}

// A holder of this user that talks nonsense neither gives the lock nor crashes anybody.
func TestHostileHolder(t *testing.T) {
	good := `{"version":1,"from":"x","voices":["svc.a.b 1 1 0"]}` + "\n"
	other, err := net.Listen("unix", "@arpeggio/other-"+name(t)[1:])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	for _, tt := range []struct {
		what string
		line string
		fds  func(listener int) []int
	}{
		{"no socket", good, nil},
		{"no JSON", "?\n", func(l int) []int { return []int{l} }},
		{"another version", strings.Replace(good, ":1,", ":2,", 1), func(l int) []int { return []int{l} }},
		{"no epoch", strings.Replace(good, " 1 1 0", "", 1), func(l int) []int { return []int{l} }},
		{"negative", strings.Replace(good, " 1 1 0", " 1 -1 0", 1), func(l int) []int { return []int{l} }},
		{"twice", strings.Replace(good, "[", `["svc.a.b 1 2 0",`, 1), func(l int) []int { return []int{l} }},
		{"no end", strings.Repeat("x", maxWill+1), func(l int) []int { return []int{l} }},
		{"another file", good, func(int) []int { return []int{0} }},
		{"many", good, func(l int) []int { return []int{l, l, l} }},
		{"another socket", good, func(int) (fds []int) {
			_ = control(other.(*net.UnixListener), func(fd int) error { fds = []int{fd}; return nil })
			return fds
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			before := descriptors(t)
			name := name(t)
			listener, err := listen(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			heir := start(t, name, "new", true)
			for range 2 { // it comes again
				c, err := listener.AcceptUnix()
				if err != nil {
					t.Fatal(err)
				}
				var oob []byte
				if tt.fds != nil {
					_ = control(listener, func(fd int) error { oob = unix.UnixRights(tt.fds(fd)...); return nil })
				}
				if _, _, err := c.WriteMsgUnix([]byte(tt.line[:1]), oob, nil); err != nil {
					t.Fatal(err)
				}
				_, _ = c.Write([]byte(tt.line[1:])) // it may be refused in the middle
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
			heir.waits(t)
			_ = listener.Close()
			if i := heir.holds(t); i != nil {
				t.Errorf("inherited %+v", i)
			}
			heir.stop()
			eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= before })
		})
	}
}

// A holder that refuses everybody is reported; that one ends is not.
func TestHolderRefuses(t *testing.T) {
	name := name(t)
	listener, err := listen(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	heir := start(t, name, "new", true)
	begun := time.Now()
	for heir.Blocked() == nil && time.Since(begun) < 5*time.Second {
		_ = listener.SetDeadline(time.Now().Add(time.Second))
		c, err := listener.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if took := time.Since(begun); took < steady || heir.Blocked() == nil || errors.Is(heir.Blocked(), ErrForeign) {
		t.Errorf("after %s: %v", took, heir.Blocked())
	}
	_ = listener.Close()
	heir.holds(t)
}

// descriptors counts this process's.
func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func FuzzLines(f *testing.F) {
	will, err := encode(voices(2))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range [][]byte{[]byte(hello), will, []byte(`{"version":1,"voices":["a b 1 0",""]}`), bytes.Repeat([]byte("["), 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if s, err := parseSaid(line); err == nil && s.Version != version {
			t.Errorf("%q is taken", line)
		}
		if i, err := parseWill(line); err == nil {
			for _, v := range i.Voices {
				if v.Lease == "" || v.UID == "" {
					t.Errorf("%q gives a voice without an epoch", line)
				}
			}
		}
	})
}
