// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/agent/wire/filter"
)

const (
	// readBuffer is asked of the kernel for what arrives while the reader is not
	// scheduled; it grants at most net.core.rmem_max.
	readBuffer = 1 << 20

	// frameSize holds any frame that can be for us: an ARP packet or a solicitation with
	// options, on Ethernet without jumbo frames. Longer ones are cut.
	frameSize = 2048

	// echoFrameSize holds an echo request in the largest of jumbo frames.
	echoFrameSize = 10240
)

// socket is a packet socket for one protocol on one interface.
type socket struct {
	kind filter.Kind
	conn *packet.Conn
	raw  syscall.RawConn
	quit int // an eventfd that wakes the reader when the socket is closed

	// When the reader last read a frame, and how old that was, in nanoseconds.
	readAt, readAge atomic.Int64
}

// protocols are what the sockets are bound to.
var protocols = [filter.NumKinds]int{unix.ETH_P_ARP, unix.ETH_P_IPV6, unix.ETH_P_IP, unix.ETH_P_IPV6}

// openSocket opens and binds the socket with the general filter attached: before it is bound,
// so that no frame gets around it. The thread needs CAP_NET_RAW.
func openSocket(ifi *net.Interface, kind filter.Kind) (*socket, error) {
	prog, err := bpf.Assemble(filter.General(kind).Code)
	if err != nil {
		return nil, fmt.Errorf("assembling the filter: %w", err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, protocols[kind], &packet.Config{Filter: prog})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var inner error
		err = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, readBuffer)
			inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		})
		if err == nil {
			err = inner
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("asking for receive timestamps: %w", err)
	}
	quit, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("making an eventfd: %w", err)
	}
	return &socket{kind: kind, conn: conn, raw: raw, quit: quit}, nil
}

// Close ends the reader, waits until it is gone, and closes the socket. It is called once.
func (s *socket) Close() error {
	_, wake := unix.Write(s.quit, []byte{0, 0, 0, 0, 0, 0, 0, 1})
	return errors.Join(wake, s.conn.Close(), unix.Close(s.quit))
}

// attach puts the filter in the place of the one that is attached. The capability is not needed.
func (s *socket) attach(code []bpf.Instruction) error {
	prog, err := bpf.Assemble(code)
	if err != nil {
		return fmt.Errorf("assembling the filter: %w", err)
	}
	return s.conn.SetBPF(prog)
}

// detach has every frame of the protocol pass.
func (s *socket) detach() error {
	var inner error
	err := s.raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	})
	return errors.Join(err, inner)
}

// behind is how late a reader is that does not keep up.
const behind = 20 * time.Millisecond

// waiting tells whether the kernel has received frames that were not read yet, by a reader that is
// behind: where it is not, what waits is of this moment.
func (s *socket) waiting(now time.Duration) bool {
	if time.Duration(s.readAge.Load()) <= behind && now-time.Duration(s.readAt.Load()) <= behind {
		return false
	}
	n := 0
	_ = s.raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return n > 0
}

// named gives the index of the interface that has a name now.
func (s *socket) named(name string) (index int, ok bool) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, false
	}
	_ = s.raw.Control(func(fd uintptr) { err = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, r) })
	return int(r.Uint32()), err == nil
}

// overflows is how many frames found the queue full since it was asked last.
func (s *socket) overflows() uint64 {
	n := uint64(0)
	_ = s.raw.Control(func(fd uintptr) {
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = uint64(stats.Drops)
		}
	})
	return n
}

// send hands one frame to the kernel and does not wait: a full queue is an error.
func (s *socket) send(frame []byte) error {
	w := writer{frame: frame}
	if err := s.raw.Control(w.write); err != nil {
		return err
	}
	if w.err != nil {
		return w.err
	}
	return nil
}

// writer sends frames through a function that is made once, as each method value is an
// allocation.
type writer struct {
	frame []byte
	err   error
}

func (w *writer) write(fd uintptr) { _, w.err = unix.Write(int(fd), w.frame) }

// reader receives frames with their age. recvmsg is called directly, as every wrapper
// allocates the sender's address. It waits in the kernel, on a thread of its own: by way of Go's
// poller another thread would have to be woken first, and this one after it.
type reader struct {
	buf   []byte
	oob   [64]byte
	iov   unix.Iovec
	msg   unix.Msghdr
	polls [2]unix.PollFd // the socket, and its end
	n     int
	err   error
}

func newReader(size, quit int) *reader {
	r := &reader{buf: make([]byte, size)}
	r.iov.Base = &r.buf[0]
	r.iov.SetLen(len(r.buf))
	r.msg.Iov = &r.iov
	r.msg.SetIovlen(1)
	r.polls[0].Events, r.polls[1] = unix.POLLIN, unix.PollFd{Fd: int32(quit), Events: unix.POLLIN}
	return r
}

// read is given to RawConn.Control, and waits for a frame, an error or the end.
func (r *reader) read(fd uintptr) {
	r.polls[0].Fd = int32(fd)
	for {
		r.msg.Control = &r.oob[0]
		r.msg.SetControllen(len(r.oob))
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT)
		switch {
		case errno == 0:
			r.n, r.err = int(n), nil
			return
		case errno == unix.EAGAIN:
			if _, err := unix.Poll(r.polls[:], -1); err != nil && !errors.Is(err, unix.EINTR) {
				r.n, r.err = 0, err
				return
			}
			if r.polls[1].Revents != 0 {
				r.n, r.err = 0, net.ErrClosed
				return
			}
		case errno != unix.EINTR:
			r.n, r.err = 0, errno
			return
		}
	}
}

func (r *reader) frame() []byte { return r.buf[:r.n] }

// unknownAge is older than any gate lets pass.
const unknownAge = time.Hour

// age is how long ago the kernel received the frame. Its timestamps are of the wall clock;
// one that is set in between makes the age wrong in a way the gate refuses, or for the
// moment it takes to read the queue too small.
func (r *reader) age(now time.Time) time.Duration {
	// #nosec G115 -- the kernel sets no more than it was given room for
	oob := r.oob[:min(int(r.msg.Controllen), len(r.oob))]
	for len(oob) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS &&
			len(data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
			return now.Sub(time.Unix(ts.Unix()))
		}
		oob = rest
	}
	return unknownAge
}
