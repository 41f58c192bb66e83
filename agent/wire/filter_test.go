// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"

	"golang.org/x/net/bpf"
)

// The filters in a machine of their own; the packet type, which it does not know, is set.
func TestFilters(t *testing.T) {
	arp := append(make([]byte, 12), 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	ns := append(make([]byte, 12), 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255)
	ns = append(append(ns, make([]byte, 32)...), 135, 0, 0, 0)
	with := func(b []byte, at int, x byte) []byte {
		c := append([]byte(nil), b...)
		c[at] = x
		return c
	}
	for name, tc := range map[string]struct {
		frame    []byte
		kind     uint32
		arp, ndp bool
	}{
		"ARP":                    {arp, 0, true, false},
		"ARP broadcast":          {arp, 1, true, false},
		"ARP for another card":   {arp, 3, false, false},
		"ARP sent by us":         {arp, 4, false, false},
		"ARP on Token Ring":      {with(arp, 15, 6), 0, false, false},
		"ARP for IPv6":           {with(arp, 16, 0x86), 0, false, false},
		"ARP with long names":    {with(arp, 18, 8), 0, false, false},
		"cut ARP":                {arp[:19], 0, false, false},
		"solicitation":           {ns, 2, false, true},
		"advertisement":          {with(ns, 54, 136), 2, false, true},
		"router advertisement":   {with(ns, 54, 134), 2, false, false},
		"redirect":               {with(ns, 54, 137), 2, false, false},
		"forwarded solicitation": {with(ns, 21, 254), 2, false, false},
		"TCP":                    {with(ns, 20, 6), 2, false, false},
		"to another card":        {ns, 3, false, false},
		"sent by us":             {ns, 4, false, false},
		"cut":                    {ns[:54], 2, false, false},
		"nothing":                {nil, 0, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := accepts(t, arpFilter(), tc.frame, tc.kind); got != tc.arp {
				t.Errorf("ARP filter %v, want %v", got, tc.arp)
			}
			if got := accepts(t, ndpFilter(), tc.frame, tc.kind); got != tc.ndp {
				t.Errorf("NDP filter %v, want %v", got, tc.ndp)
			}
		})
	}
}

func accepts(t *testing.T, prog []bpf.Instruction, frame []byte, kind uint32) bool {
	t.Helper()
	if _, err := bpf.Assemble(prog); err != nil {
		t.Fatal(err)
	}
	prog[0] = bpf.LoadConstant{Dst: bpf.RegA, Val: kind}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}
