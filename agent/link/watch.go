// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// settle is how long a change is given to become whole: a new interface makes some
	// ten events within a few milliseconds.
	settle = 20 * time.Millisecond

	// readPause and readPatience bound what is done about a kernel that cannot be read.
	readPause    = 200 * time.Millisecond
	readPatience = 25
)

// Watch calls changed with the picture, first at once and then whenever it is another, until
// the context ends, and returns nil. It watches the calling goroutine's network namespace.
// An error means that the kernel can no longer be read.
func Watch(ctx context.Context, changed func(Snapshot)) error { return WatchAgain(ctx, nil, changed) }

// WatchAgain is Watch that also reads whenever it is asked to: sysctls change without a word.
func WatchAgain(ctx context.Context, again <-chan struct{}, changed func(Snapshot)) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer h.Close()
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_NETCONF)
	if err != nil {
		return fmt.Errorf("subscribing to netlink: %w", err)
	}
	events := make(chan struct{}, 1)
	failed := make(chan error, 1)
	go func() { failed <- listen(socket, events) }()
	go forward(ctx, again, events)
	err = follow(ctx, func() (Snapshot, error) { return read(h) }, events, failed, changed)
	socket.Close() // ends listen
	return err
}

// follow reads at first and after events, and tells what is new.
func follow(ctx context.Context, read func() (Snapshot, error), events <-chan struct{}, failed <-chan error, changed func(Snapshot)) error {
	var last Snapshot
	for told, failures := false, 0; ; {
		s, err := read()
		switch {
		case err != nil:
			if failures++; failures > readPatience {
				return err
			}
			if !sleep(ctx, readPause) {
				return nil
			}
			continue
		case !told || !s.Equal(last):
			last, told = s, true
			changed(s)
		}
		failures = 0
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("reading netlink events: %w", err)
		case <-events:
		}
		if !sleep(ctx, settle) {
			return nil
		}
		select {
		case <-events: // what came meanwhile is in the next reading
		default:
		}
	}
}

// sleep is false if the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// forward turns what somebody asks for into events.
func forward(ctx context.Context, again <-chan struct{}, events chan<- struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
		}
		select {
		case events <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// listen turns messages into events until the socket is closed or fails.
func listen(socket *nl.NetlinkSocket, events chan<- struct{}) error {
	for {
		msgs, from, err := socket.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			// The kernel dropped messages. What they said is in the next reading.
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case from.Pid != nl.PidKernel || !concerns(msgs):
			continue
		}
		select {
		case events <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// concerns is whether any of the messages can change the picture. Of routes only default
// ones do; nodes have others by the thousand, and they come and go.
func concerns(msgs []syscall.NetlinkMessage) bool {
	for _, m := range msgs {
		switch m.Header.Type {
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			const dstLen = 1 // struct rtmsg: rtm_family, rtm_dst_len
			if len(m.Data) > dstLen && m.Data[dstLen] == 0 {
				return true
			}
		default:
			return true
		}
	}
	return false
}
