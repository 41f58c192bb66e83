// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

func serve(t *testing.T, s *Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// eventually waits for an answer that says want; "": none may.
func eventually(t *testing.T, incarnation string, isReady bool, want string) {
	t.Helper()
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		err = Ask(t.Context(), incarnation, isReady)
		if err == nil && want == "" || err != nil && want != "" && strings.Contains(err.Error(), want) {
			return
		}
	}
	t.Fatalf("got %v, want %q", err, want)
}

func TestAsk(t *testing.T) {
	sick := errors.New("the loop hangs")
	well := func() error { return nil }
	ill := func() error { return sick }
	for _, tt := range []struct {
		name        string
		live, ready func() error
		says        [2]string
	}{
		{"well", well, well, [2]string{"", ""}},
		{"not ready", well, ill, [2]string{"", "not ready: the loop hangs"}},
		{"ill", ill, ill, [2]string{"not live: the loop hangs", "not ready: the loop hangs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := uuid.NewString()
			eventually(t, id, false, "does not listen")
			stop := serve(t, &Server{Incarnation: id, Live: tt.live, Ready: tt.ready})
			eventually(t, id, false, tt.says[0])
			eventually(t, id, true, tt.says[1])
			stop()
			eventually(t, id, false, "does not listen")
		})
	}
}

// Two agents of a node are asked each for itself.
func TestTwoAgents(t *testing.T) {
	one, two := uuid.NewString(), uuid.NewString()
	well := func() error { return nil }
	serve(t, &Server{Incarnation: one, Live: well, Ready: well})
	serve(t, &Server{Incarnation: two, Live: well, Ready: func() error { return errors.New("not yet") }})
	eventually(t, one, true, "")
	eventually(t, two, true, "not yet")
	eventually(t, two, false, "")
}

// Who says nothing, or nonsense, holds nobody else up for long.
func TestHostileAsker(t *testing.T) {
	id := uuid.NewString()
	well := func() error { return nil }
	serve(t, &Server{Incarnation: id, Live: well, Ready: well})
	eventually(t, id, true, "")
	for _, text := range []string{"", "nonsense and more of it\n", strings.Repeat("x", 1<<16)} {
		c, err := net.Dial("unix", name(id))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(text)) // it may be refused in the middle
		if err := Ask(t.Context(), id, true); err != nil {
			t.Errorf("beside %.20q: %v", text, err)
		}
		_ = c.Close()
	}
}

// The socket is taken: the agent says so and goes on, and is there when it is free.
func TestTaken(t *testing.T) {
	id := uuid.NewString()
	l, err := net.Listen("unix", name(id))
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	well := func() error { return nil }
	serve(t, &Server{Incarnation: id, Live: well, Ready: well, Failed: func(err error) { failed <- err }})
	if err := <-failed; !errors.Is(err, unix.EADDRINUSE) {
		t.Error(err)
	}
	_ = l.Close()
	eventually(t, id, false, "")
}

// An agent that hangs is not well.
func TestHanging(t *testing.T) {
	id := uuid.NewString()
	l, err := net.Listen("unix", name(id))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	begun := time.Now()
	if err := Ask(t.Context(), id, false); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 2*answerBound {
		t.Errorf("took %s", took)
	}
}

// Another user's process cannot answer in the agent's place.
func TestForeignListener(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	id := uuid.NewString()
	done := make(chan error)
	var fd int
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); e != 0 {
			done <- e
			return
		}
		var err error
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err == nil {
			err = errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: name(id)}), unix.Listen(fd, 8))
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := Ask(t.Context(), id, false); err == nil || !strings.Contains(err.Error(), "user 65534's") {
		t.Errorf("got %v", err)
	}
}
