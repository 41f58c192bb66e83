// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arpeggio-lb/arpeggio/test/cluster/capture"
)

// runNeighbor is Run for ARP and NDP: one socket asks, and hears all answers.
func runNeighbor(ctx context.Context, c Config, started func()) (Report, error) {
	device, err := net.InterfaceByName(c.Interface)
	if err != nil {
		return Report{}, fmt.Errorf("interface %s: %w", c.Interface, err)
	}
	source, err := ownAddress(device, c.Target.Addr())
	if err != nil {
		return Report{}, err
	}
	question := question(device.HardwareAddr, source, c.Target.Addr())
	socket, err := openPacket(device, binary.BigEndian.Uint16(question[12:14]))
	if err != nil {
		return Report{}, err
	}
	var (
		mu       sync.Mutex // guards requests
		requests []request
		reading  sync.WaitGroup
		failed   error
	)
	reading.Go(func() {
		failed = readAnswers(socket, c.Target.Addr(), device.HardwareAddr.String(), func(who string, at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			match(requests, c.Timeout, who, at)
		})
	})
	began := time.Now()
	started()
	paced(ctx, c.Interval, func() {
		mu.Lock()
		requests = append(requests, request{sent: time.Now()})
		i := len(requests) - 1
		mu.Unlock()
		if _, err := socket.Write(question); err != nil {
			mu.Lock()
			requests[i].err = reason(err)
			mu.Unlock()
		}
	})
	stopped := time.Now()
	time.Sleep(c.Timeout) // for the last answers
	closing := socket.Close()
	reading.Wait()
	return summarize(c, began, stopped, requests), errors.Join(failed, closing)
}

// openPacket opens a socket for frames on a device; it receives those of one EtherType, or none when that is 0.
func openPacket(device *net.Interface, etherType uint16) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: etherType<<8 | etherType>>8, Ifindex: device.Index}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "neighbor probe"), nil
}

// match gives an answer to the last request that has none, if that is not older than timeout. Requests are all alike;
// earlier ones that still wait were passed over by then.
func match(requests []request, timeout time.Duration, who string, at time.Time) {
	for i := len(requests) - 1; i >= 0 && at.Sub(requests[i].sent) <= timeout; i-- {
		if requests[i].answered.IsZero() {
			requests[i].answered, requests[i].who = at, who
			return
		}
	}
}

// readAnswers calls f for each answer for addr, from anyone but this host itself, until the socket is closed.
func readAnswers(socket *os.File, addr netip.Addr, self string, f func(who string, at time.Time)) error {
	buffer := make([]byte, 2048)
	for {
		n, err := socket.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		if frame, ok := capture.Parse(buffer[:n]); ok && frame.Answer() && frame.Addr == addr && frame.Source != self {
			f(frame.MAC, time.Now())
		}
	}
}

// ownAddress is the interface's first address of the target's family; of IPv6, one that is not link-local.
func ownAddress(device *net.Interface, target netip.Addr) (netip.Addr, error) {
	addrs, err := device.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() == target.Is4() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("interface %s has no address to ask for %s with", device.Name, target)
}

// question is a broadcast ARP request (RFC 826) or a multicast Neighbor Solicitation (RFC 4861 section 4.3).
func question(mac net.HardwareAddr, source, target netip.Addr) []byte {
	if target.Is4() {
		b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
		b = append(b, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
		b = append(append(b, mac...), source.AsSlice()...)
		return append(append(b, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
	}
	t := target.As16()
	group := [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: t[13], 14: t[14], 15: t[15]}
	message := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, t[:]...)
	message = append(append(message, 1, 1), mac...) // source link-layer address option
	binary.BigEndian.PutUint16(message[2:], checksum(source.As16(), group, message))

	b := append([]byte{0x33, 0x33, group[12], group[13], group[14], group[15]}, mac...)
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(message)), 58, 255)
	b = append(append(b, source.AsSlice()...), group[:]...)
	return append(b, message...)
}

// checksum is ICMPv6's (RFC 4443 section 2.3).
func checksum(source, destination [16]byte, message []byte) uint16 {
	pseudo := append(append([]byte{}, source[:]...), destination[:]...)
	pseudo = append(pseudo, 0, 0, 0, byte(len(message)), 0, 0, 0, 58)
	var sum uint32
	for _, part := range [][]byte{pseudo, message} { // both of even length
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
