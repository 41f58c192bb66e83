// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	facts := Facts{Interfaces: []InterfaceFacts{
		{Name: "bond0", Prefixes: []string{"192.168.1.7/24", "fd00:1::7/64"}, DefaultRoute4: true},
		{Name: "eth0", Prefixes: []string{"10.0.0.7/24"}, DefaultRoute6: true},
		{Name: "eth1", Prefixes: []string{"192.168.1.8/24"}},
	}}
	for _, tt := range []struct {
		what, addr string
		patterns   []InterfacePattern
		want       []string
	}{
		{"all with the subnet", "192.168.1.240", nil, []string{"bond0", "eth1"}},
		{"the IPv6 subnet", "fd00:1::f0", nil, []string{"bond0"}},
		{"no subnet: the family's default route", "172.16.0.1", nil, []string{"bond0"}},
		{"no subnet: the family's default route", "fd00:9::1", nil, []string{"eth0"}},
		{"named, whatever the subnet", "192.168.1.240", []InterfacePattern{"eth0"}, []string{"eth0"}},
		{"patterns", "192.168.1.240", []InterfacePattern{"eth?", "bond*"}, []string{"bond0", "eth0", "eth1"}},
		{"named and missing: none, not another one", "192.168.1.240", []InterfacePattern{"eth9"}, nil},
	} {
		var got []string
		for _, i := range facts.Choose(netip.MustParseAddr(tt.addr), tt.patterns) {
			got = append(got, i.Name)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s: %s", tt.what, tt.addr, diff)
		}
	}
	if got := (Facts{}).Choose(netip.MustParseAddr("192.168.1.240"), nil); got != nil {
		t.Errorf("a node without interfaces speaks on %v", got)
	}
}

func TestFactsSurviveTheirText(t *testing.T) {
	want := Facts{Version: "v1", Interfaces: []InterfaceFacts{{Name: "eth0", MAC: "02:00:00:00:00:01", DefaultRoute4: true}},
		Refused: []RefusedInterface{{Name: "eth1", Why: "is a port of bond0: name bond0 instead"}, {Name: "kube-ipvs0", Why: "is a dummy"}}}
	text, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseFacts(text)
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v, %s", err, cmp.Diff(want, got))
	}
	if _, err := ParseFacts(`{"version":"v9","colour":"red"}`); err != nil {
		t.Errorf("a later version's facts: %v", err)
	}
	if _, err := ParseFacts("eth0"); err == nil {
		t.Error("no JSON, no error")
	}
}

// Which refused interfaces a pool names; of facts that somebody made too large, what an agent
// would have written is read.
func TestRefused(t *testing.T) {
	facts := Facts{Refused: []RefusedInterface{{"eth1", "is down"}, {"eth2", "is down"}, {"lan0", "is down"}}}
	for pattern, want := range map[InterfacePattern]string{"eth1": "eth1", "eth*": "eth1 eth2", "eth9": "", "*": "eth1 eth2 lan0"} {
		var got []string
		for _, r := range facts.Named([]InterfacePattern{pattern}) {
			got = append(got, r.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s names %v, want %q", pattern, got, want)
		}
	}
	if got := facts.Named(nil); got != nil {
		t.Errorf("nothing names %v", got)
	}
	long := Facts{Refused: []RefusedInterface{{"eth1", strings.Repeat("x", 161)}, {strings.Repeat("x", 16), "is down"}}}
	for range 40 {
		long.Refused = append(long.Refused, RefusedInterface{"eth2", "is down"})
	}
	text, err := long.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseFacts(text)
	if err != nil || len(got.Refused) != MaxRefused || got.Refused[0].Name != "eth2" {
		t.Errorf("%v: %+v", err, got)
	}
}
