// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/ipam"
)

func TestSituation(t *testing.T) {
	speaking := v1alpha1.VIPAnnouncementStatus{Node: "n1", Addresses: []v1alpha1.SpokenAddress{{Address: "10.0.0.1"}},
		Conditions: []metav1.Condition{{Type: v1alpha1.Announced, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSpeaking}}}
	withdrawn := v1alpha1.VIPAnnouncementStatus{
		Conditions: []metav1.Condition{{Type: v1alpha1.Announced, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonWithdrawn, Message: "gone"}}}
	nodes := []string{"n2", "n3"}
	for _, tc := range []struct {
		name   string
		before v1alpha1.VIPAnnouncementStatus
		now    situation
		want   string // status/reason/message; empty: nothing is written
	}{
		{"nothing is known yet", speaking, situation{}, ""},
		{"no address", speaking, situation{refusal: "why"}, "False/AllocationFailed/why"},
		{"nobody may", speaking, situation{addresses: []string{"10.0.0.1"}, nobody: "why"}, "False/NoEligibleNode/why"},
		{"nobody may, and it was given up", withdrawn, situation{addresses: []string{"10.0.0.1"}, nobody: "why"}, "False/NoEligibleNode/why"},
		{"somebody may", v1alpha1.VIPAnnouncementStatus{}, situation{addresses: []string{"10.0.0.1"}, candidates: nodes}, "Unknown/Pending/may speak, and none has begun to: n2, n3"},
		{"somebody may, and it was given up", withdrawn, situation{addresses: []string{"10.0.0.1"}, candidates: nodes}, ""},
		{"the speaker died as it let go", speaking, situation{addresses: []string{"10.0.0.1"}, candidates: nodes}, "Unknown/Pending/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status := *tc.before.DeepCopy()
			written := tc.now.apply(&status, 7)
			if written != (tc.want != "") {
				t.Fatalf("written: %v", written)
			}
			if !written {
				return
			}
			c := status.Conditions[0]
			if got := string(c.Status) + "/" + c.Reason + "/" + c.Message; !strings.HasPrefix(got, tc.want) || c.ObservedGeneration != 7 {
				t.Errorf("got %s of generation %d", got, c.ObservedGeneration)
			}
			if status.Node != "" || len(status.Addresses) != 0 {
				t.Errorf("it still says that %s speaks for %v", status.Node, status.Addresses)
			}
		})
	}
}

// What agents found out stays as long as the address does; what the last speaker spoke for is
// known to be free.
func TestStatusKeepsWhatAgentsWrote(t *testing.T) {
	conflict := func(a, reason string) v1alpha1.Conflict { return v1alpha1.Conflict{Address: a, Reason: reason} }
	conditions := []metav1.Condition{{Type: v1alpha1.AddressConflict}, {Type: v1alpha1.KernelAnswers}, {Type: v1alpha1.Watched}}
	for _, tc := range []struct {
		name      string
		announced []string
		probed    []string
		spoken    []string
		conflicts []v1alpha1.Conflict
		// after the manager's write
		wantProbed    []string
		wantConflicts int
		wantTypes     string
	}{
		{"nothing has changed", []string{"10.0.0.1", "fd00::1"}, []string{"fd00::1"}, nil, []v1alpha1.Conflict{conflict("10.0.0.1", "ForeignHost")},
			[]string{"fd00::1"}, 1, "AddressConflict KernelAnswers Watched"},
		{"no conflict is known, and the conditions are the agents'", []string{"10.0.0.1"}, nil, nil, nil, nil, 0, "AddressConflict KernelAnswers Watched"},
		{"an address is gone", []string{"fd00::1"}, []string{"10.0.0.1", "fd00::1"}, nil, []v1alpha1.Conflict{conflict("10.0.0.1", "ForeignHost"), conflict("fd00::1", "ProxyAnswers")},
			[]string{"fd00::1"}, 1, "AddressConflict Watched"},
		{"the last conflict is gone", []string{"10.0.0.2"}, []string{"10.0.0.1"}, nil, []v1alpha1.Conflict{conflict("10.0.0.1", "ForeignHost")}, nil, 0, "Watched"},
		{"a kernel's goes, a host's stays", []string{"fd00::1"}, nil, nil, []v1alpha1.Conflict{conflict("10.0.0.1", "KernelAnswers"), conflict("fd00::1", "ForeignHost")}, nil, 1, "AddressConflict Watched"},
		{"the speaker is gone", []string{"10.0.0.1", "fd00::1"}, []string{"10.0.0.1"}, []string{"10.0.0.1", "fd00::1"}, nil, []string{"10.0.0.1", "fd00::1"}, 0, "AddressConflict KernelAnswers Watched"},
		{"the speaker is gone, and one of its addresses", []string{"10.0.0.1"}, nil, []string{"10.0.0.1", "fd00::1"}, nil, []string{"10.0.0.1"}, 0, "AddressConflict KernelAnswers Watched"},
	} {
		status := v1alpha1.VIPAnnouncementStatus{Node: "n1", Probed: tc.probed, Conflicts: tc.conflicts, Conditions: slices.Clone(conditions)}
		for _, a := range tc.spoken {
			status.Addresses = append(status.Addresses, v1alpha1.SpokenAddress{Address: a})
		}
		now := situation{addresses: tc.announced, candidates: []string{"n2"}}
		if len(tc.spoken) > 0 {
			now.apply(&status, 1)
		}
		now.judge(&status, 1)
		now.prune(&status)
		var types []string
		for _, c := range status.Conditions {
			if c.Type != v1alpha1.Announced {
				types = append(types, c.Type)
			}
		}
		if !slices.Equal(status.Probed, tc.wantProbed) || len(status.Conflicts) != tc.wantConflicts || strings.Join(types, " ") != tc.wantTypes {
			t.Errorf("%s: probed %v, conflicts %v, conditions %v", tc.name, status.Probed, status.Conflicts, types)
		}
	}
}

// An address that is yielded is not announced, and the conditions say so and until when.
func TestYielded(t *testing.T) {
	text := yielded([]ipam.Claim{
		{Address: netip.MustParseAddr("10.0.0.1"), Pool: "lan", Service: ipam.Service{Name: "web"}, Aside: ipam.Aside{MAC: "02:00:00:00:00:99", Since: 1_000_000_000}},
		{Address: netip.MustParseAddr("fd00::1"), Service: ipam.Service{Name: "web"}},
	})
	for _, part := range []string{"10.0.0.1", "2001-09-09T01:47:40Z", "02:00:00:00:00:99", "VIPPool lan"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %s", text, part)
		}
	}
	for _, tc := range []struct {
		now  situation
		want string
	}{
		{situation{yielded: text, candidates: []string{"n1"}}, v1alpha1.ReasonYielded},
		{situation{yielded: text, addresses: []string{"fd00::1"}, candidates: []string{"n1"}}, v1alpha1.ReasonPending},
	} {
		var status v1alpha1.VIPAnnouncementStatus
		tc.now.apply(&status, 1)
		tc.now.judge(&status, 1)
		announced, unserved := meta.FindStatusCondition(status.Conditions, v1alpha1.Announced), meta.FindStatusCondition(status.Conditions, v1alpha1.AddressUnserved)
		if announced == nil || announced.Reason != tc.want || unserved == nil || unserved.Reason != v1alpha1.ReasonAddressYielded || unserved.Message != text {
			t.Errorf("conditions %+v", status.Conditions)
		}
	}
}

// has is an inventory of one Service.
type has []ipam.Claim

func (h has) ClaimsOf(types.NamespacedName) []ipam.Claim {
	return slices.DeleteFunc(slices.Clone(h), func(c ipam.Claim) bool { return c.Service.Name != "web" })
}
func (h has) Ordered(r ipam.Request) []ipam.Claim {
	return ipam.Order(r, ipam.Pools{}, h.ClaimsOf(types.NamespacedName{}))
}
func (has) Refusal(types.NamespacedName) (string, bool) { return "", false }
func (h has) Claimable(text string) bool {
	return !slices.ContainsFunc(h, func(c ipam.Claim) bool { return c.Address.String() == text })
}

func TestAddresses(t *testing.T) {
	claim := func(a, service, uid string) ipam.Claim {
		return ipam.Claim{Address: netip.MustParseAddr(a), Pool: "lan", Service: ipam.Service{Name: service}, UID: uid, ID: "i"}
	}
	making := func(a string) ipam.Claim {
		return ipam.Claim{Address: netip.MustParseAddr(a), Pool: "lan", Service: ipam.Service{Name: "web"}}
	}
	with := func(c ipam.Claim) ipam.Claim { c.Aside.MAC = "02:00:00:00:00:99"; return c }
	for _, tc := range []struct {
		name          string
		claims        has
		shown, before []string
		want          string
	}{
		{"shown and claimed", has{claim("10.0.0.1", "web", "u"), claim("fd00::1", "web", "u")}, []string{"10.0.0.1", "fd00::1"}, nil, "fd00::1 10.0.0.1"},
		{"claimed, and not shown before it was probed", has{claim("10.0.0.1", "web", "u")}, nil, nil, "10.0.0.1"},
		{"one is claimed, the other is being", has{claim("10.0.0.1", "web", "u"), making("fd00::1")}, nil, nil, ""},
		{"the same, and it was announced", has{claim("10.0.0.1", "web", "u"), making("fd00::1")}, nil, []string{"10.0.0.1"}, "10.0.0.1"},
		{"the claim was lost, and is made anew", has{making("10.0.0.1")}, []string{"10.0.0.1"}, []string{"10.0.0.1"}, "10.0.0.1"},
		{"another claim, and nothing is shown", has{claim("10.0.0.1", "web", "u"), claim("10.0.0.2", "web", "u")}, nil, []string{"10.0.0.2"}, "10.0.0.1"},
		{"shown, claimed by an earlier Service", has{claim("10.0.0.1", "web", "old")}, []string{"10.0.0.1"}, nil, ""},
		{"shown, not claimed", nil, []string{"10.0.0.1"}, nil, ""},
		{"the claim was lost", nil, []string{"10.0.0.1"}, []string{"10.0.0.1"}, "10.0.0.1"},
		{"the status was lost", has{claim("10.0.0.1", "web", "u")}, nil, []string{"10.0.0.1"}, "10.0.0.1"},
		{"both were lost", nil, nil, []string{"10.0.0.1"}, ""},
		{"claimed, shown, and yielded", has{with(claim("10.0.0.1", "web", "u")), claim("fd00::1", "web", "u")}, []string{"10.0.0.1", "fd00::1"}, []string{"10.0.0.1", "fd00::1"}, "fd00::1"},
		{"the claim is somebody else's now", has{claim("10.0.0.1", "db", "v")}, []string{"10.0.0.1"}, []string{"10.0.0.1"}, ""},
		{"another address is shown", has{claim("10.0.0.1", "web", "u"), claim("10.0.0.2", "web", "u")}, []string{"10.0.0.2"}, []string{"10.0.0.1"}, "10.0.0.2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "u"}}
			s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
			for _, ip := range tc.shown {
				s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
			}
			var before []v1alpha1.AnnouncedAddress
			for _, a := range tc.before {
				before = append(before, v1alpha1.AnnouncedAddress{Address: a, Pool: "lan"})
			}
			r := &Reconciler{inventory: tc.claims}
			var got []string
			for _, a := range r.addresses(s, before) {
				got = append(got, a.Address)
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %v, want %q", got, tc.want)
			}
		})
	}
}

func TestEndpointNodes(t *testing.T) {
	yes, no := true, false
	end := func(node string, ready, serving, terminating *bool) discoveryv1.Endpoint {
		e := discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating}}
		if node != "" {
			e.NodeName = &node
		}
		return e
	}
	for _, tc := range []struct {
		name string
		ends []discoveryv1.Endpoint
		want map[string]bool
	}{
		{"ready, or nothing said", []discoveryv1.Endpoint{end("a", &yes, nil, nil), end("b", nil, nil, nil), end("c", &no, &no, &no)}, map[string]bool{"a": true, "b": true}},
		{"going, while others are ready", []discoveryv1.Endpoint{end("a", &yes, &yes, &no), end("b", &no, &yes, &yes)}, map[string]bool{"a": true}},
		{"all are going", []discoveryv1.Endpoint{end("a", &no, &yes, &yes), end("b", &no, &no, &yes)}, map[string]bool{"a": true}},
		{"without a node", []discoveryv1.Endpoint{end("", &yes, nil, nil), end("", &no, &yes, &yes)}, map[string]bool{}},
		{"ready without a node, others going", []discoveryv1.Endpoint{end("", &yes, nil, nil), end("b", &no, &yes, &yes)}, map[string]bool{"b": true}},
	} {
		got := readEndpoints([]discoveryv1.EndpointSlice{{}, {Endpoints: tc.ends}}).nodes
		if len(got) != len(tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
		for n := range tc.want {
			if !got[n] {
				t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
			}
		}
	}
}
