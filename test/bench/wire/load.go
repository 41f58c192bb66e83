// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cable is a packet socket on one interface of the generator's namespace.
type cable struct {
	family family
	fd     int
}

// plug opens the socket; the thread is to be in the namespace.
func plug(ifname string, f family) (*cable, error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: f.protocol<<8 | f.protocol>>8, Ifindex: ifi.Index}))
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("plugging into %s: %w", ifname, err)
	}
	return &cable{family: f, fd: fd}, nil
}

// load is what to send.
type load struct {
	questions [][]byte
	rate      int // of the questions, a second
	foreign   [][]byte
	flood     int // of the foreign ones, a second
	last      time.Duration
}

// answers is what came of a load.
type answers struct {
	sent, received int
	foreign        int // requests sent beside
	latencies      []time.Duration
	took           time.Duration // to send it
}

func (a answers) lost() int { return a.sent - a.received }

const (
	// step is how long the sender sleeps at most while something is due at a high rate.
	step = 100 * time.Microsecond

	// poll is how often replies are read. Nothing depends on it but the size of the queue.
	poll = 2 * time.Millisecond

	// patience is how long after the last question replies are waited for.
	patience = 100 * time.Millisecond
)

// send sends the load and waits for the replies.
func (c *cable) send(l load) (answers, error) {
	var due [slots]atomic.Int64 // when each question was sent, by the wall clock; zero: it was answered
	var a answers
	c.drain()
	over := make(chan struct{})
	read := make(chan error, 1)
	go func() { read <- c.receive(over, &due, &a) }()
	sent, foreign, took, err := c.transmit(l, &due)
	time.Sleep(patience)
	close(over)
	err = errors.Join(err, <-read)
	a.sent, a.foreign, a.took = sent, foreign, took
	return a, err
}

// transmit sends each frame at its time, or as soon after it as it can.
func (c *cable) transmit(l load, due *[slots]atomic.Int64) (sent, foreign int, took time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return 0, 0, 0, err
	}
	start := time.Now()
	for {
		now := time.Since(start)
		if now >= l.last {
			return sent, foreign, now, nil
		}
		for ; foreign < int(now.Seconds()*float64(l.flood)); foreign++ {
			if err := c.write(l.foreign[foreign%len(l.foreign)]); err != nil {
				return sent, foreign, now, err
			}
		}
		for ; sent < int(now.Seconds()*float64(l.rate)); sent++ {
			slot := sent % len(l.questions)
			due[slot].Store(time.Now().UnixNano())
			if err := c.write(l.questions[slot]); err != nil {
				return sent, foreign, now, err
			}
		}
		next := time.Duration(float64(sent+1) / float64(l.rate) * float64(time.Second))
		if l.flood > 0 {
			next = 0
		}
		pause := max(next-time.Since(start), step)
		ts := unix.NsecToTimespec(int64(pause))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	}
}

// write sends one frame; a full queue is waited for.
func (c *cable) write(frame []byte) error {
	for {
		_, err := unix.Write(c.fd, frame)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		runtime.Gosched()
	}
}

// receive reads replies until it is told that no more are expected.
func (c *cable) receive(over <-chan struct{}, due *[slots]atomic.Int64, a *answers) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in := newInbox()
	for {
		last := false
		select {
		case <-over:
			last = true
		default:
		}
		for {
			frame, at, err := in.next(c.fd)
			if err != nil {
				return err
			}
			if frame == nil {
				break
			}
			slot, ok := c.family.answered(frame)
			if !ok {
				continue
			}
			a.received++
			if asked := due[slot].Swap(0); asked != 0 {
				a.latencies = append(a.latencies, time.Duration(at-asked))
			}
		}
		if last {
			return nil
		}
		ts := unix.NsecToTimespec(int64(poll))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	}
}

// drain reads what is left of an earlier load.
func (c *cable) drain() {
	in := newInbox()
	for {
		if frame, _, err := in.next(c.fd); frame == nil || err != nil {
			return
		}
	}
}

// inbox receives frames with the kernel's receive timestamp, and allocates nothing.
type inbox struct {
	buf [2048]byte
	oob [64]byte
	iov unix.Iovec
	msg unix.Msghdr
}

func newInbox() *inbox {
	in := &inbox{}
	in.iov.Base = &in.buf[0]
	in.iov.SetLen(len(in.buf))
	in.msg.Iov = &in.iov
	in.msg.SetIovlen(1)
	return in
}

// next gives the next frame and when it came, by the wall clock; nil: there is none.
func (in *inbox) next(fd int) (frame []byte, at int64, err error) {
	in.msg.Control = &in.oob[0]
	in.msg.SetControllen(len(in.oob))
	for {
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.msg)), unix.MSG_DONTWAIT)
		switch {
		case errno == unix.EAGAIN:
			return nil, 0, nil
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return nil, 0, errno
		}
		h, data, _, err := unix.ParseOneSocketControlMessage(in.oob[:in.msg.Controllen])
		if err != nil || h.Type != unix.SO_TIMESTAMPNS {
			return nil, 0, fmt.Errorf("a frame without a timestamp: %w", err)
		}
		return in.buf[:n], (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano(), nil
	}
}
