// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// The facts tell of what is refused, with the reason, in as little as fits all that an agent
// may write.
func TestFactsTellOfWhatIsRefused(t *testing.T) {
	k := kernel{links: []device{
		nic(func(d *device) { d.index, d.name, d.master = 3, "eth1", 9 }),
		nic(func(d *device) { d.index, d.name, d.kind = 9, "bond0", "bond" }),
		nic(func(d *device) { d.index, d.name, d.kind = 4, "kube-ipvs0", "dummy" }),
	}}
	facts := judge(k).Facts("v1")
	want := []v1alpha1.RefusedInterface{{Name: "eth1", Why: "is a port of bond0: name bond0 instead"}, {Name: "kube-ipvs0", Why: reasonDummy}}
	if !slices.Equal(facts.Refused, want) {
		t.Errorf("refused %v, want %v", facts.Refused, want)
	}
	text, err := facts.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if read, err := v1alpha1.ParseFacts(text); err != nil || !slices.Equal(read.Refused, want) {
		t.Errorf("read %v, %v", read.Refused, err)
	}
	for _, why := range []string{reasonNotEther, reasonDown, reasonCarrier, reasonNoARP, reasonDummy, reasonNoCard, reasonBalanceALB, reasonLostMaster, reasonPort("abcdefghijklmno")} {
		text, err := v1alpha1.Facts{Refused: []v1alpha1.RefusedInterface{{Name: "abcdefghijklmno", Why: why}}}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if read, err := v1alpha1.ParseFacts(text); err != nil || len(read.Refused) != 1 {
			t.Errorf("%q is too long for facts", why)
		}
	}
}

// Hundreds of devices neither bloat the facts nor push out what people name; the pods that come
// and go change nothing.
func TestFactsStaySmall(t *testing.T) {
	k := kernel{links: []device{nic(func(d *device) { d.index, d.name, d.master = 3, "zz0", 9 }), master("bridge")}}
	for i := range 300 {
		k.links = append(k.links, nic(func(d *device) { d.index, d.name, d.up = 1000+i, fmt.Sprintf("eth0v%03d", i), false }))
	}
	before := judge(k)
	facts := before.Facts("v1")
	byName := func(a, b v1alpha1.RefusedInterface) int { return strings.Compare(a.Name, b.Name) }
	if len(facts.Refused) != v1alpha1.MaxRefused || !slices.IsSortedFunc(facts.Refused, byName) || facts.Refused[v1alpha1.MaxRefused-1].Name != "zz0" {
		t.Errorf("%d refused: %v", len(facts.Refused), facts.Refused)
	}
	if text, err := facts.Encode(); err != nil || len(text) > 8<<10 {
		t.Errorf("%d octets, %v", len(text), err)
	}
	for i := range 300 {
		k.links = append(k.links, nic(func(d *device) {
			d.index, d.name, d.kind, d.peerElsewhere, d.master = 2000+i, fmt.Sprintf("veth%08x", i), "veth", true, 9
		}))
	}
	if after := judge(k); !after.Equal(before) {
		t.Errorf("with pods: %d interfaces, %d refused", len(after.Interfaces), len(after.Refused))
	}
}
