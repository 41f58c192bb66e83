// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// answerBound is how long a question may take, on both sides.
	answerBound = time.Second
	// retry is the pause before a socket that cannot be had is tried again.
	retry = time.Second
	// maxText bounds a question and an answer, in octets.
	maxText = 1 << 10

	live  = "live"
	ready = "ready"
	well  = "ok"
)

// name is the socket of an agent; "@" stands for the zero octet of an abstract one.
func name(incarnation string) string { return "@arpeggio/health/" + incarnation }

// Server answers for one agent.
type Server struct {
	// Incarnation of the agent, the UID of its pod; at most 64 octets.
	Incarnation string
	// Live and Ready say why the agent is not; nil: it is. Run's goroutine calls them.
	Live, Ready func() error
	// Failed, if there is one, is told why nobody can ask; Run tries on.
	Failed func(error)
}

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.Failed != nil {
			s.Failed(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// serve answers until ctx ends or the socket fails.
func (s *Server) serve(ctx context.Context) error {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "unix", name(s.Incarnation))
	if err != nil {
		return fmt.Errorf("listening for probes: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer func() { _ = l.Close() }()
	for {
		conn, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accepting a probe: %w", err)
		}
		if u := conn.(*net.UnixConn); sameUser(u) == nil {
			s.answer(u) // one at a time: the kubelet's are few
		}
		_ = conn.Close()
	}
}

func (s *Server) answer(conn *net.UnixConn) {
	_ = conn.SetDeadline(time.Now().Add(answerBound / 4)) // on an open connection it does not fail
	buf := make([]byte, len(ready)+1)
	n, err := conn.Read(buf)
	if err != nil {
		return
	}
	text := well
	switch question := strings.TrimSuffix(string(buf[:n]), "\n"); question {
	case live:
		err = s.Live()
	case ready:
		err = s.Ready()
	default:
		err = errors.New("unknown question")
	}
	if err != nil {
		text = err.Error()
	}
	_, _ = conn.Write([]byte(text)) // who asked may be gone
}

// Ask asks the agent of an incarnation whether it is live, or ready; an error says why not.
func Ask(ctx context.Context, incarnation string, isReady bool) error {
	ctx, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", name(incarnation))
	if err != nil {
		return fmt.Errorf("the agent does not listen: %w", err)
	}
	defer func() { _ = c.Close() }()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline) // on an open connection it does not fail
	conn := c.(*net.UnixConn)
	if err := sameUser(conn); err != nil {
		return err
	}
	question := live
	if isReady {
		question = ready
	}
	if _, err := conn.Write([]byte(question + "\n")); err != nil {
		return fmt.Errorf("asking the agent: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(conn, maxText))
	switch {
	case err != nil:
		return fmt.Errorf("the agent does not answer: %w", err)
	case string(text) != well:
		return fmt.Errorf("not %s: %s", question, text)
	}
	return nil
}

// sameUser checks that the process at the other end runs as this user (SO_PEERCRED in
// unix(7)).
func sameUser(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("asking for the other side's user: %w", err)
	}
	var cred *unix.Ucred
	var inner error
	err = raw.Control(func(fd uintptr) { cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, inner); err != nil {
		return fmt.Errorf("asking for the other side's user: %w", err)
	}
	if int64(cred.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("process %d at the other end is user %d's, not the agent's", cred.Pid, cred.Uid)
	}
	return nil
}
