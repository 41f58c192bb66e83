// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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
		{"nobody may", speaking, situation{addresses: 1, nobody: "why"}, "False/NoEligibleNode/why"},
		{"nobody may, and it was given up", withdrawn, situation{addresses: 1, nobody: "why"}, "False/NoEligibleNode/why"},
		{"somebody may", v1alpha1.VIPAnnouncementStatus{}, situation{addresses: 1, candidates: nodes}, "Unknown/Pending/may speak, and none has begun to: n2, n3"},
		{"somebody may, and it was given up", withdrawn, situation{addresses: 1, candidates: nodes}, ""},
		{"the speaker died as it let go", speaking, situation{addresses: 1, candidates: nodes}, "Unknown/Pending/"},
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

// has is an inventory of one Service.
type has []ipam.Claim

func (h has) ClaimsOf(types.NamespacedName) []ipam.Claim {
	return slices.DeleteFunc(slices.Clone(h), func(c ipam.Claim) bool { return c.Service.Name != "web" })
}
func (has) Refusal(types.NamespacedName) (string, bool) { return "", false }
func (h has) Claimable(text string) bool {
	return !slices.ContainsFunc(h, func(c ipam.Claim) bool { return c.Address.String() == text })
}

func TestAddresses(t *testing.T) {
	claim := func(a, service, uid string) ipam.Claim {
		return ipam.Claim{Address: netip.MustParseAddr(a), Pool: "lan", Service: ipam.Service{Name: service}, UID: uid}
	}
	for _, tc := range []struct {
		name          string
		claims        has
		shown, before []string
		want          string
	}{
		{"shown and claimed", has{claim("10.0.0.1", "web", "u"), claim("fd00::1", "web", "u")}, []string{"10.0.0.1", "fd00::1"}, nil, "fd00::1 10.0.0.1"},
		{"claimed, not shown yet", has{claim("10.0.0.1", "web", "u")}, nil, nil, ""},
		{"shown, claimed by an earlier Service", has{claim("10.0.0.1", "web", "old")}, []string{"10.0.0.1"}, nil, ""},
		{"shown, not claimed", nil, []string{"10.0.0.1"}, nil, ""},
		{"the claim was lost", nil, []string{"10.0.0.1"}, []string{"10.0.0.1"}, "10.0.0.1"},
		{"the status was lost", has{claim("10.0.0.1", "web", "u")}, nil, []string{"10.0.0.1"}, "10.0.0.1"},
		{"both were lost", nil, nil, []string{"10.0.0.1"}, ""},
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
