// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// carrier watches, by netlink, for what makes the switch at the other end of a card forget the
// groups behind it, or be another switch: the cable was pulled and put back, a bond has gone over to
// another of its cards, a virtual machine has moved.
type carrier struct {
	index int
	file  *os.File
	ups   uint32 // how often the card's carrier has come, at the last message
	known bool   // whether ups is
	back  chan struct{}
}

// watchCarrier opens the socket in the network namespace of the calling thread.
func watchCarrier(index int) (*carrier, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listening to changes of links: %w", err)
	}
	return &carrier{index: index, file: os.NewFile(uintptr(fd), "netlink"), back: make(chan struct{}, 1)}, nil // #nosec G115 -- a descriptor
}

// run reads until Close.
func (c *carrier) run() error {
	buf := make([]byte, 1<<16)
	for {
		n, err := c.file.Read(buf)
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOBUFS): // something was lost, perhaps that
			c.tell()
			continue
		case errors.Is(err, os.ErrClosed):
			return nil
		default:
			return fmt.Errorf("reading changes of links: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			continue // of no kernel
		}
		for _, m := range messages {
			if c.read(m) {
				c.tell()
			}
		}
	}
}

// tell has it known, once however often it was told.
func (c *carrier) tell() {
	select {
	case c.back <- struct{}{}:
	default:
	}
}

// Events of a link that the kernel's own groups are reported again for, or others told of a new
// place (linux/if_link.h).
const (
	eventBondingFailover = 3
	eventNotifyPeers     = 4
	eventIGMPResend      = 5
)

// read tells whether the message is one of those.
func (c *carrier) read(m syscall.NetlinkMessage) bool {
	if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
		return false
	}
	info := (*unix.IfInfomsg)(unsafe.Pointer(&m.Data[0]))
	if int(info.Index) != c.index {
		return false
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return false
	}
	again := false
	for _, a := range attributes {
		if len(a.Value) < 4 {
			continue
		}
		switch value := binary.NativeEndian.Uint32(a.Value); a.Attr.Type {
		case unix.IFLA_CARRIER_UP_COUNT:
			again = again || !c.known || value != c.ups
			c.ups, c.known = value, true
		case unix.IFLA_EVENT:
			again = again || value == eventBondingFailover || value == eventNotifyPeers || value == eventIGMPResend
		}
	}
	return again
}

// Close ends run.
func (c *carrier) Close() { _ = c.file.Close() }
