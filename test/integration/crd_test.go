// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// TestValidation asks the API server for each rule of the CRDs, good and bad.
func TestValidation(t *testing.T) {
	w := newWorld(t)
	addresses := func(entries ...v1alpha1.AddressRange) func(*v1alpha1.VIPPool) {
		return func(p *v1alpha1.VIPPool) { p.Spec.Addresses = entries }
	}
	policy := func(change func(*v1alpha1.AnnouncementPolicy)) func(*v1alpha1.VIPPool) {
		return func(p *v1alpha1.VIPPool) {
			p.Spec.Announcements = []v1alpha1.AnnouncementPolicy{{}}
			change(&p.Spec.Announcements[0])
		}
	}
	const howToWrite = "must be a CIDR (192.168.7.0/24), a range of two addresses without spaces (192.168.1.240-192.168.1.250) or a single address (fd00:1::f0)"
	for _, tc := range []struct {
		name   string
		change func(*v1alpha1.VIPPool)
		want   string // part of the error; empty: accepted
	}{
		{"CIDR", addresses("192.168.7.0/24"), ""},
		{"range", addresses("192.168.1.240-192.168.1.250"), ""},
		{"single address", addresses("192.168.1.1"), ""},
		{"all of IPv6", addresses("fd00:1::f0/124", "fd00:2::1-fd00:2::9", "fd00::1"), ""},
		{"none", addresses(), "spec.addresses"},
		{"garbage", addresses("banana"), howToWrite},
		{"a name", addresses("host.example"), howToWrite},
		{"white space", addresses("192.168.1.1 - 192.168.1.9"), howToWrite},
		{"three ends", addresses("10.0.0.1-10.0.0.2-10.0.0.3"), howToWrite},
		{"half an end", addresses("192.168.1.240-250"), howToWrite},
		{"prefix too long", addresses("10.0.0.0/33"), howToWrite},
		{"two families", addresses("192.168.1.1-fd00::1"), "both ends of a range must be of one family: write one range for IPv4 and another for IPv6"},
		{"reversed: left to the manager", addresses("192.168.1.9-192.168.1.1"), ""},
		{"twice the same", addresses("10.0.0.1", "10.0.0.1"), "Duplicate value"},
		{"excluded garbage", func(p *v1alpha1.VIPPool) { p.Spec.Exclude = []v1alpha1.AddressRange{"x/y"} }, howToWrite},
		{"autoAssign", func(p *v1alpha1.VIPPool) { p.Spec.AutoAssign = "yes" }, `supported values: "Enabled", "Disabled"`},
		{"allocation", func(p *v1alpha1.VIPPool) { p.Spec.Allocation = "Drain" }, `supported values: "Enabled", "Disabled"`},
		{"edgeAddresses", func(p *v1alpha1.VIPPool) { p.Spec.EdgeAddresses = "Keep" }, `supported values: "Avoid", "Use"`},
		{"conflictPolicy", func(p *v1alpha1.VIPPool) { p.Spec.ConflictPolicy = "Fight" }, `supported values: "Defend", "Yield"`},
		{"ping", func(p *v1alpha1.VIPPool) { p.Spec.Ping = "Pong" }, `supported values: "Enabled", "Disabled"`},
		{"interface", policy(func(a *v1alpha1.AnnouncementPolicy) { a.Interfaces = []v1alpha1.InterfacePattern{"bond*"} }), ""},
		{"interface with a slash", policy(func(a *v1alpha1.AnnouncementPolicy) { a.Interfaces = []v1alpha1.InterfacePattern{"eth/0"} }), "an interface name holds neither '/' nor white space: write it as 'ip link' shows it (eth0) or as a pattern (bond*)"},
		{"interface with a space", policy(func(a *v1alpha1.AnnouncementPolicy) { a.Interfaces = []v1alpha1.InterfacePattern{"eth 0"} }), "an interface name holds neither '/' nor white space"},
		{"weight", policy(func(a *v1alpha1.AnnouncementPolicy) { a.PreferredNodes = []v1alpha1.PreferredNodes{{Weight: 1}} }), ""},
		{"weight of nothing", policy(func(a *v1alpha1.AnnouncementPolicy) { a.PreferredNodes = []v1alpha1.PreferredNodes{{Weight: 0}} }), "should be greater than or equal to 1"},
		{"weight beyond measure", policy(func(a *v1alpha1.AnnouncementPolicy) { a.PreferredNodes = []v1alpha1.PreferredNodes{{Weight: 101}} }), "should be less than or equal to 100"},
		{"name of 63", func(p *v1alpha1.VIPPool) { p.Name = strings.Repeat("a", 63) }, ""},
		{"name of 64", func(p *v1alpha1.VIPPool) { p.Name = strings.Repeat("a", 64) }, "metadata.name of a VIPPool is at most 63 characters long, because it is used as a label value: choose a shorter name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &v1alpha1.VIPPool{
				ObjectMeta: metav1.ObjectMeta{Name: "lan"},
				Spec:       v1alpha1.VIPPoolSpec{Addresses: []v1alpha1.AddressRange{"10.0.0.1"}},
			}
			tc.change(p)
			refusedWith(t, w.client.Create(t.Context(), p, client.DryRunAll), tc.want)
		})
	}
}

func TestValidationOfAnnouncements(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		address, want string
	}{
		{"192.168.1.1", ""},
		{"fd00::1", ""},
		{"192.168.1.0/24", "must be a single IPv4 or IPv6 address"},
		{"web", "must be a single IPv4 or IPv6 address"},
	} {
		a := &v1alpha1.VIPAnnouncement{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"},
			Spec:       v1alpha1.VIPAnnouncementSpec{LeaseName: "l", Addresses: []v1alpha1.AnnouncedAddress{{Address: tc.address}}},
		}
		refusedWith(t, w.client.Create(t.Context(), a, client.DryRunAll), tc.want)
	}
}

// refusedWith wants an error with this text, or none.
func refusedWith(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %q in it", err, want)
	}
}
