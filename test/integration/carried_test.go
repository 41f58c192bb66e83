// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// What a pool says of conflicts and pings is carried to its addresses, and follows it.
func TestPoolPolicyIsCarried(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.manager()
	four := w.pool("four", addresses("192.168.1.10-192.168.1.20"))
	six := w.pool("six", v1alpha1.VIPPoolSpec{Addresses: []v1alpha1.AddressRange{"fd00:1::10"}, Ping: v1alpha1.Enabled, Probing: v1alpha1.FullProbing, ConflictPolicy: v1alpha1.YieldAddress})
	w.service("web", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
	carried := func(want ...v1alpha1.AnnouncedAddress) func(*v1alpha1.VIPAnnouncement) error {
		return func(a *v1alpha1.VIPAnnouncement) error {
			if !slices.Equal(a.Spec.Addresses, want) {
				return fmt.Errorf("addresses %+v, want %+v", a.Spec.Addresses, want)
			}
			return nil
		}
	}
	v6 := v1alpha1.AnnouncedAddress{Address: "fd00:1::10", Pool: "six", ConflictPolicy: v1alpha1.YieldAddress, Ping: v1alpha1.Enabled, Probing: v1alpha1.FullProbing}
	w.announcement("web", carried(v1alpha1.AnnouncedAddress{Address: "192.168.1.10", Pool: "four"}, v6))
	four.Spec.Ping = v1alpha1.Enabled
	w.update(four)
	w.announcement("web", carried(v1alpha1.AnnouncedAddress{Address: "192.168.1.10", Pool: "four", Ping: v1alpha1.Enabled}, v6))
	four = w.reread(four)
	four.Spec.Ping = v1alpha1.Disabled
	w.update(four)
	w.announcement("web", carried(v1alpha1.AnnouncedAddress{Address: "192.168.1.10", Pool: "four"}, v6))
	w.delete(six) // what it said last holds on
	w.service("other")
	w.shows("other", "192.168.1.11")
	w.announcement("web", carried(v1alpha1.AnnouncedAddress{Address: "192.168.1.10", Pool: "four"}, v6))
}
