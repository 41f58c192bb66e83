// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrForeign says that the process at the other end runs as another user.
var ErrForeign = errors.New("another user's process")

// sameUser checks that the process at the other end of the connection runs as this user. Of
// a holder it is the process that began to listen (SO_PEERCRED in unix(7)).
func sameUser(c syscall.Conn) error {
	var cred *unix.Ucred
	err := control(c, func(fd int) (err error) {
		cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return fmt.Errorf("asking for the other side's user: %w", err)
	}
	if int64(cred.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("%w: user %d, process %d", ErrForeign, cred.Uid, cred.Pid)
	}
	return nil
}

// control calls f with the descriptor.
func control(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// send sends a line and, with its first octet, the descriptor of the listening socket. If
// it fails, the line was not sent whole.
func send(conn *net.UnixConn, line []byte, listener *net.UnixListener) error {
	return control(listener, func(fd int) error {
		n, _, err := conn.WriteMsgUnix(line, unix.UnixRights(fd), nil)
		if err != nil {
			return err
		}
		for n < len(line) {
			m, err := conn.Write(line[n:])
			if err != nil {
				return err
			}
			n += m
		}
		return nil
	})
}

// receive reads one line of at most limit octets, and the file that came with it; nil: none
// did. The kernel closes whatever else was sent along.
func receive(conn *net.UnixConn, limit int) (line []byte, file *os.File, err error) {
	defer func() {
		if err != nil && file != nil {
			_ = file.Close()
			file = nil
		}
	}()
	buf := make([]byte, 64<<10)
	oob := make([]byte, unix.CmsgSpace(4)) // room for one descriptor, or two, as it is aligned
	for have := 0; ; {
		n, oobn, _, _, err := conn.ReadMsgUnix(buf[have:], oob)
		if err != nil {
			return nil, file, err
		}
		if n == 0 {
			return nil, file, io.EOF
		}
		got, err := descriptor(oob[:oobn])
		if err != nil {
			return nil, file, err
		}
		if got != nil && file != nil {
			_ = got.Close()
			return nil, file, errors.New("two descriptors came")
		}
		if got != nil {
			file = got
		}
		if end := bytes.IndexByte(buf[have:have+n], '\n'); end >= 0 {
			return buf[:have+end], file, nil
		}
		have += n
		if have >= limit {
			return nil, file, fmt.Errorf("more than %d octets without an end", limit)
		}
		if have == len(buf) {
			buf = append(buf, make([]byte, have)...)
		}
	}
}

// descriptor is the one that came in a control message.
func descriptor(oob []byte) (*os.File, error) {
	if len(oob) == 0 {
		return nil, nil //nolint:nilnil // most reads bring none
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("reading a control message: %w", err)
	}
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		if len(fds) == 1 {
			return os.NewFile(uintptr(fds[0]), "voice"), nil
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
	return nil, errors.New("a control message that does not bring one descriptor")
}

// listenerOf makes the file that came a listener. It must be the socket of that name.
func listenerOf(file *os.File, name string) (*net.UnixListener, error) {
	if file == nil {
		return nil, errors.New("the holder gave no socket")
	}
	defer func() { _ = file.Close() }() // the listener has a copy
	err := control(file, func(fd int) error {
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil {
			return err
		}
		addr, err := unix.Getsockname(fd)
		if err != nil {
			return err
		}
		if a, ok := addr.(*unix.SockaddrUnix); !ok || a.Name != name || listens != 1 {
			return fmt.Errorf("the holder gave a socket that is not %q", name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		_ = l.Close()
		return nil, errors.New("the holder gave no unix socket")
	}
	return u, nil
}
