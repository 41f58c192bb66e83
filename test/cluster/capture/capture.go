// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Capture collects the ARP and Neighbor Discovery frames that pass a bridge.
type Capture struct {
	file *os.File
	done chan struct{}

	mu     sync.Mutex // guards the rest
	frames []Frame
	closed bool
	failed error
}

// receiveBuffer holds some ten thousand frames while the reader waits for a processor.
const receiveBuffer = 16 << 20

// Open begins to capture at the named bridge, in the network namespace of the calling thread. The capture stays there.
// It ends with [Capture.Close]. Needs CAP_NET_RAW, and CAP_NET_ADMIN for its buffer.
func Open(bridge string) (*Capture, error) {
	device, err := net.InterfaceByName(bridge)
	if err != nil {
		return nil, err
	}
	fd, err := openSocket(device.Index)
	if err != nil {
		return nil, fmt.Errorf("capturing on %s: %w", bridge, err)
	}
	c := &Capture{file: os.NewFile(uintptr(fd), "capture on "+bridge), done: make(chan struct{})}
	go c.read(device.Index)
	return c, nil
}

// neighborFilter is a program of the kernel's classic BPF that lets through what Parse takes, and little else, so that
// traffic cannot fill the buffer.
func neighborFilter() []unix.SockFilter {
	const (
		loadHalf = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
		loadByte = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		ifEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		give     = unix.BPF_RET | unix.BPF_K

		nextHeader, messageType = ethernetHeader + 6, ethernetHeader + ipv6Header
	)
	return []unix.SockFilter{
		{Code: loadHalf, K: 12},
		{Code: ifEqual, K: etherTypeARP, Jt: 6},
		{Code: ifEqual, K: etherTypeIPv6, Jf: 6},
		{Code: loadByte, K: nextHeader},
		{Code: ifEqual, K: protocolICMPv6, Jf: 4},
		{Code: loadByte, K: messageType},
		{Code: ifEqual, K: typeNeighborSolicit, Jt: 1},
		{Code: ifEqual, K: typeNeighborAdvertise, Jf: 1},
		{Code: give, K: 0xffff},
		{Code: give, K: 0},
	}
}

func openSocket(index int) (fd int, err error) {
	// With protocol 0 nothing is received before the socket is bound, so no frame of another interface is queued.
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	filter := neighborFilter()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return 0, os.NewSyscallError("setsockopt SO_TIMESTAMPNS", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return 0, os.NewSyscallError("setsockopt SO_RCVBUFFORCE", err)
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return 0, os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
	}
	// A bridge passes on to itself what is not meant for it only when it is promiscuous.
	promiscuous := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promiscuous); err != nil {
		return 0, os.NewSyscallError("setsockopt PACKET_ADD_MEMBERSHIP", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// read collects until the socket is closed.
func (c *Capture) read(index int) {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		c.fail(err)
		return
	}
	buffer, control := make([]byte, 2048), make([]byte, 256)
	for {
		var n, nc int
		var from unix.Sockaddr
		var received error
		err := raw.Read(func(fd uintptr) bool {
			n, nc, _, from, received = unix.Recvmsg(int(fd), buffer, control, 0)
			return !errors.Is(received, unix.EAGAIN)
		})
		if err == nil {
			err = received
		}
		if errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			c.fail(err)
			return
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Ifindex != index || link.Pkttype == unix.PACKET_OUTGOING {
			continue // what the bridge itself sends is a copy, if anything
		}
		if f, ok := Parse(buffer[:n]); ok {
			f.Time = timestamp(control[:nc])
			c.mu.Lock()
			c.frames = append(c.frames, f)
			c.mu.Unlock()
		}
	}
}

// fail records why reading ended; that the file was closed is no failure.
func (c *Capture) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.failed = err
	}
}

// Frames gives what was captured so far, ordered by arrival.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Frame(nil), c.frames...)
}

// Close ends the capture and gives all its frames. It is an error when any frame was lost, for then they prove nothing.
func (c *Capture) Close() ([]Frame, error) {
	lost, err := c.lost()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	closing := c.file.Close()
	<-c.done
	frames := c.Frames()
	c.mu.Lock()
	err = errors.Join(err, c.failed, closing)
	c.mu.Unlock()
	if lost > 0 {
		err = errors.Join(err, fmt.Errorf("the kernel dropped %d frames of the capture", lost))
	}
	return frames, err
}

// lost asks the kernel how many frames found the buffer full.
func (c *Capture) lost() (uint32, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var stats *unix.TpacketStats
	var got error
	if err := raw.Control(func(fd uintptr) {
		stats, got = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	}); err != nil {
		return 0, err
	}
	if got != nil {
		return 0, os.NewSyscallError("getsockopt PACKET_STATISTICS", got)
	}
	return stats.Drops, nil
}

// timestamp finds the kernel's time of arrival among control messages; now, should there be none.
func timestamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err == nil {
		for _, m := range messages {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
				seconds, nanoseconds := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
				return time.Unix(int64(seconds), int64(nanoseconds))
			}
		}
	}
	return time.Now()
}

// networkOrder writes a 16 bit number as the kernel wants it in a socket address.
func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }
