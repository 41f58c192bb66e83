// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// told is a message about an interface, with attributes of 32 bits: number, value, number, value ...
func told(kind uint16, index uint32, attributes ...uint32) syscall.NetlinkMessage {
	data := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(data[4:], index)
	for i := 0; i+1 < len(attributes); i += 2 {
		data = binary.NativeEndian.AppendUint16(data, 8)
		data = binary.NativeEndian.AppendUint16(data, uint16(attributes[i]))
		data = binary.NativeEndian.AppendUint32(data, attributes[i+1])
	}
	return syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: data}
}

// Of all that the kernel tells of links, these are reasons to report the groups again.
func TestWhatASwitchMayHaveForgotten(t *testing.T) {
	const ups, event, mtu = unix.IFLA_CARRIER_UP_COUNT, unix.IFLA_EVENT, unix.IFLA_MTU
	c := &carrier{index: 7}
	for _, step := range []struct {
		what string
		m    syscall.NetlinkMessage
		want bool
	}{
		{"another card's carrier", told(unix.RTM_NEWLINK, 8, ups, 3), false},
		{"the first word of the carrier: nobody knows since when", told(unix.RTM_NEWLINK, 7, ups, 3), true},
		{"the carrier as it was", told(unix.RTM_NEWLINK, 7, mtu, 1400, ups, 3), false},
		{"the carrier came back", told(unix.RTM_NEWLINK, 7, ups, 4), true},
		{"once", told(unix.RTM_NEWLINK, 7, ups, 4), false},
		{"a bond has gone over to another card", told(unix.RTM_NEWLINK, 7, ups, 4, event, eventBondingFailover), true},
		{"a machine has moved", told(unix.RTM_NEWLINK, 7, event, eventNotifyPeers), true},
		{"the kernel reports its groups again", told(unix.RTM_NEWLINK, 7, event, eventIGMPResend), true},
		{"features changed", told(unix.RTM_NEWLINK, 7, event, 2), false},
		{"the card goes", told(unix.RTM_DELLINK, 7, ups, 9), false},
		{"a cut message", syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.RTM_NEWLINK}, Data: make([]byte, 7)}, false},
	} {
		if got := c.read(step.m); got != step.want {
			t.Errorf("%s: %v, want %v", step.what, got, step.want)
		}
	}
}
