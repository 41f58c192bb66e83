// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	addrA = "192.0.2.240"
	addrB = "192.0.2.241"
)

// uses gives a conflict as a node reports it.
func uses(addr, reporter, reason string) v1alpha1.Conflict {
	c := v1alpha1.Conflict{Address: addr, MAC: foreign.String(), Reporter: reporter, Interface: "eth0", Reason: reason, Since: before}
	if reason == v1alpha1.ReasonKernelAnswers || reason == v1alpha1.ReasonOtherAnnouncer {
		c.Node = reporter
	}
	return c
}

func TestFindingApply(t *testing.T) {
	host, proxy, kernel := v1alpha1.ReasonForeignHost, v1alpha1.ReasonProxyAnswers, v1alpha1.ReasonKernelAnswers
	list := func(cs ...v1alpha1.Conflict) []v1alpha1.Conflict { return cs }
	for _, tc := range []struct {
		name   string
		was    []v1alpha1.Conflict
		probed []string // before
		f      finding
		want   []v1alpha1.Conflict
		free   []string
	}{
		{name: "the first", f: finding{conflicts: list(uses(addrA, "n1", host))}, want: list(uses(addrA, "n1", host))},
		{name: "its own are replaced", was: list(uses(addrA, "n1", host)), f: finding{conflicts: list(uses(addrA, "n1", proxy))}, want: list(uses(addrA, "n1", proxy))},
		{name: "its own end, another's stands", was: list(uses(addrA, "n1", host), uses(addrA, "n2", host)), want: list(uses(addrA, "n2", host))},
		{name: "the speaker drops those of nodes that are gone", was: list(uses(addrA, "n7", kernel), uses(addrA, "n2", kernel)), f: finding{nodes: []string{"n1", "n2"}}, want: list(uses(addrA, "n2", kernel))},
		{name: "others do not know who is gone", was: list(uses(addrA, "n7", kernel)), want: list(uses(addrA, "n7", kernel))},
		{name: "found free", was: list(uses(addrA, "n2", host), uses(addrA, "n2", kernel), uses(addrA, "n3", proxy), uses(addrB, "n2", host)), f: finding{probed: []string{addrA}},
			want: list(uses(addrB, "n2", host), uses(addrA, "n2", kernel), uses(addrA, "n3", proxy)), free: []string{addrA}},
		{name: "found free twice", probed: []string{addrA}, f: finding{probed: []string{addrA, addrB}}, free: []string{addrA, addrB}},
		{name: "not announced any more", was: list(uses("192.0.2.9", "n2", host)), f: finding{probed: []string{"192.0.2.9"}, conflicts: list(uses("192.0.2.9", "n1", host))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &v1alpha1.VIPAnnouncement{Spec: v1alpha1.VIPAnnouncementSpec{Addresses: []v1alpha1.AnnouncedAddress{{Address: addrA}, {Address: addrB}}}}
			a.Status.Probed = tc.probed
			setConflicts(&a.Status, tc.was, 1)
			tc.f.node = "n1"
			tc.f.apply(a)
			if diff := cmp.Diff(tc.want, a.Status.Conflicts); diff != "" {
				t.Errorf("conflicts (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tc.free, a.Status.Probed); diff != "" {
				t.Errorf("probed (-want +got)\n%s", diff)
			}
			others, kernels := false, false
			for _, c := range tc.want {
				others, kernels = others || c.Reason != kernel, kernels || c.Reason == kernel
			}
			if got := meta.IsStatusConditionTrue(a.Status.Conditions, v1alpha1.AddressConflict); got != others {
				t.Errorf("AddressConflict %v", got)
			}
			if got := meta.IsStatusConditionTrue(a.Status.Conditions, v1alpha1.KernelAnswers); got != kernels {
				t.Errorf("KernelAnswers %v", got)
			}
			again := a.DeepCopy()
			tc.f.apply(again)
			if diff := cmp.Diff(a, again); diff != "" {
				t.Errorf("the same again changes it: %s", diff)
			}
		})
	}
}

// What the API takes is not exceeded, and what matters most stays.
func TestFindingIsBounded(t *testing.T) {
	a := &v1alpha1.VIPAnnouncement{Spec: v1alpha1.VIPAnnouncementSpec{Addresses: []v1alpha1.AnnouncedAddress{{Address: addrA}}}}
	for i := range 20 {
		node := fmt.Sprintf("n%d", i)
		finding{node: node, conflicts: []v1alpha1.Conflict{uses(addrA, node, v1alpha1.ReasonKernelAnswers)}}.apply(a)
	}
	finding{node: "n99", conflicts: []v1alpha1.Conflict{uses(addrA, "n99", v1alpha1.ReasonForeignHost)}}.apply(a)
	if n := len(a.Status.Conflicts); n != maxConflicts || a.Status.Conflicts[0].Reporter != "n99" {
		t.Errorf("%d conflicts, the first of %s", n, a.Status.Conflicts[0].Reporter)
	}
	for i := range 20 {
		addProbed(&a.Status, fmt.Sprintf("192.0.2.%d", i))
	}
	if n := len(a.Status.Probed); n != maxProbed || a.Status.Probed[n-1] != "192.0.2.19" {
		t.Errorf("probed %v", a.Status.Probed)
	}
}

// Who begins to speak drops what others reported of its addresses, but not their kernels.
func TestSpeakerEndsConflictsOfOthers(t *testing.T) {
	s := v1alpha1.VIPAnnouncementStatus{}
	setConflicts(&s, []v1alpha1.Conflict{
		uses(addrA, "n2", v1alpha1.ReasonForeignHost), uses(addrA, "n2", v1alpha1.ReasonKernelAnswers), uses(addrB, "n2", v1alpha1.ReasonForeignHost), uses(addrA, "n1", v1alpha1.ReasonForeignHost),
	}, 1)
	if !speaking(7, 7).report("n1").apply(&s, 1) { // of addrA
		t.Fatal("refused")
	}
	want := []v1alpha1.Conflict{uses(addrA, "n1", v1alpha1.ReasonForeignHost), uses(addrB, "n2", v1alpha1.ReasonForeignHost), uses(addrA, "n2", v1alpha1.ReasonKernelAnswers)}
	if diff := cmp.Diff(want, s.Conflicts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestConflictTexts(t *testing.T) {
	plain := carried{}
	for name, tc := range map[string]struct {
		c    v1alpha1.Conflict
		of   carried
		want []string
	}{
		"first use": {uses(addrA, "n1", v1alpha1.ReasonForeignHost), carried{held: true}, []string{addrA, foreign.String(), "node n1 hears it on eth0", "no node speaks", "exclude it from its VIPPool", "it gets another one"}},
		"in use":    {uses(addrA, "n1", v1alpha1.ReasonForeignHost), plain, []string{addrA, foreign.String(), "at most every 10 s", "Take it from that host"}},
		"yields":    {uses(addrA, "n1", v1alpha1.ReasonForeignHost), carried{yields: true}, []string{"conflictPolicy Yield"}},
		"proxy":     {uses(addrA, "n1", v1alpha1.ReasonProxyAnswers), plain, []string{"proxy ARP", "Switch its proxying off"}},
		"announcer": {uses(addrA, "n2", v1alpha1.ReasonOtherAnnouncer), plain, []string{"node n2", "another load balancer"}},
	} {
		t.Run(name, func(t *testing.T) {
			note := conflictEvent(event{}.service, tc.c, tc.of).note
			for _, w := range tc.want {
				if !strings.Contains(note, w) {
					t.Errorf("%q does not say %q", note, w)
				}
			}
		})
	}
	six := uses("2001:db8::f0", "n1", v1alpha1.ReasonKernelAnswers)
	if text := kernelText(six); !strings.Contains(text, "ip addr del 2001:db8::f0/128 dev eth0") {
		t.Errorf("%q", text)
	}
}

// What is said of a voice and what was found out are written together, and the one does not
// displace the other.
func TestFindingsAndReportsAreBothWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := vipa(0)
		a.Spec.Addresses = []v1alpha1.AnnouncedAddress{{Address: addrA}}
		api := newAPI(t, a)
		r := newReporter(api, logr.Discard())
		key := client.ObjectKeyFromObject(a)
		r.put(key, reportOf("one"))
		r.found(key, finding{uid: "one", node: "n1", conflicts: []v1alpha1.Conflict{uses(addrA, "n1", v1alpha1.ReasonProxyAnswers)}})
		r.found(key, finding{uid: "one", node: "n1", conflicts: []v1alpha1.Conflict{uses(addrA, "n1", v1alpha1.ReasonForeignHost)}})
		start(t, r)
		time.Sleep(time.Second)
		var got v1alpha1.VIPAnnouncement
		if err := api.Get(t.Context(), key, &got); err != nil {
			t.Fatal(err)
		}
		if s := got.Status; s.Node != "n1" || len(s.Conflicts) != 1 || s.Conflicts[0].Reason != v1alpha1.ReasonForeignHost || api.written() != 1 {
			t.Errorf("%d writes, status %+v", api.written(), s)
		}
		r.found(key, finding{uid: "an older one", node: "n1"})
		time.Sleep(time.Second)
		if api.written() != 1 {
			t.Error("what was found out of another announcement was written")
		}
	})
}

// What was found free is forgotten with the address: it may come back as somebody else's.
func TestFoundFreeGoesWithTheAddress(t *testing.T) {
	with := func(addrs ...string) *v1alpha1.VIPAnnouncement {
		a := &v1alpha1.VIPAnnouncement{}
		for _, addr := range addrs {
			a.Spec.Addresses = append(a.Spec.Addresses, v1alpha1.AnnouncedAddress{Address: addr})
		}
		return a
	}
	r := newReign("svc.default.web")
	r.announcement = with(vip4, vip6)
	r.findings.probed = []string{vip4, vip6}
	r.carry(v1alpha1.Facts{})
	if want := []string{vip4, vip6}; !slices.Equal(r.findings.probed, want) {
		t.Errorf("found free: %v, want %v", r.findings.probed, want)
	}
	r.announcement = with(vip6)
	r.carry(v1alpha1.Facts{})
	r.announcement = with(vip4, vip6)
	r.carry(v1alpha1.Facts{})
	if want := []string{vip6}; !slices.Equal(r.findings.probed, want) || !r.carried[0].held {
		t.Errorf("found free: %v, want %v; held: %v", r.findings.probed, want, r.carried[0].held)
	}
}
