// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// A Service shows its addresses once agents found them free, both by one write; it goes on showing
// them whatever becomes of the announcement, and whoever is the manager.
func TestAddressesAreShownOnceTheyAreProbed(t *testing.T) {
	w := newWorld(t)
	w.probes(false)
	w.node("node1", card("eth0", "192.168.1.11/24", "fd00:1::11/64"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250", "fd00:1::240-fd00:1::250"))
	stop := w.manager()
	w.service("web", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
	seen := w.shown("web")
	w.keeps("web", "192.168.1.240", "fd00:1::240")
	w.stays("web")
	stop()
	stop = w.manager()
	w.keeps("web", "192.168.1.240", "fd00:1::240")
	w.stays("web")
	if n := w.events("web", v1alpha1.EventAddressAllocated); len(n) != 0 {
		t.Errorf("%q", n)
	}
	w.probed("web", "192.168.1.240", "fd00:1::240")
	w.shows("web", "192.168.1.240", "fd00:1::240")
	if got := seen(); got != " 192.168.1.240fd00:1::240" {
		t.Errorf("the Service showed %q", got)
	}
	w.event("web", v1alpha1.EventAddressAllocated, "192.168.1.240", "fd00:1::240")

	w.status("web", func(s *v1alpha1.VIPAnnouncementStatus) { s.Probed = nil })
	w.stays("web", "192.168.1.240", "fd00:1::240")
	stop()
	var a v1alpha1.VIPAnnouncement
	w.get("web", &a)
	w.delete(&a)
	seen = w.shown("web")
	w.manager()
	w.announcement("web", func(now *v1alpha1.VIPAnnouncement) error {
		if now.UID == a.UID || len(now.Status.Conditions) == 0 {
			return errors.New("it is not made anew")
		}
		return announces("192.168.1.240", "fd00:1::240")(now)
	})
	w.stays("web", "192.168.1.240", "fd00:1::240")
	if got := seen(); got != "192.168.1.240fd00:1::240" {
		t.Errorf("the Service showed %q", got)
	}
	if n := w.events("web", v1alpha1.EventAddressAllocated); len(n) != 1 {
		t.Errorf("%q", n)
	}
}

// What somebody speaks for is known to be free.
func TestAddressIsShownOnceItIsSpokenFor(t *testing.T) {
	w := newWorld(t)
	w.probes(false)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	w.service("web")
	w.keeps("web", "192.168.1.240")
	w.stays("web")
	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.240")
	w.shows("web", "192.168.1.240")
}

// An address that no node is there to probe is shown after ten seconds, managers come and go
// meanwhile; where a node is there, it is waited for.
func TestAddressNobodyProbesIsShown(t *testing.T) {
	w := newWorld(t)
	w.probes(false)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.pool("far", addresses("10.0.0.1-10.0.0.9"))
	stop := w.manager()
	began := time.Now()
	w.service("far", annotated(v1alpha1.AnnotationPool, "far"))
	w.service("web", annotated(v1alpha1.AnnotationPool, "lan"))
	w.announcement("far", both(announces("10.0.0.1"), announced(no, v1alpha1.ReasonNoEligibleNode)))
	w.keeps("web", "192.168.1.240")
	time.Sleep(time.Until(began.Add(5 * time.Second)))
	w.stays("far")
	stop()
	w.manager()
	w.shows("far", "10.0.0.1")
	if took := time.Since(began); took < 8*time.Second || took > 13*time.Second {
		t.Errorf("shown after %v", took)
	}
	w.stays("web")
	w.silence(true, "node1")
	w.eventuallyWithin(30*time.Second, func(context.Context) error {
		if len(w.ips("web")) == 0 {
			return errors.New("the node is gone, and the address is not shown")
		}
		return nil
	})
}

// A Service that is to have another address shows the one it had until the other was probed, and
// then that one alone.
func TestOldAddressIsShownUntilTheNewOneIsProbed(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.10-192.168.1.20"))
	stop := w.manager()
	w.service("web")
	w.shows("web", "192.168.1.10")
	w.probes(false)
	seen := w.shown("web")
	var s corev1.Service
	w.get("web", &s)
	annotated(v1alpha1.AnnotationAddresses, "192.168.1.15")(&s)
	w.update(&s)
	w.keeps("web", "192.168.1.15")
	stop()
	w.manager()
	w.keeps("web", "192.168.1.15")
	w.stays("web", "192.168.1.10")
	if w.claim("192.168.1.10") == nil {
		t.Error("an address that is shown is free")
	}
	w.probed("web", "192.168.1.15")
	w.shows("web", "192.168.1.15")
	w.eventually(func(context.Context) error {
		if w.claim("192.168.1.10") != nil {
			return errors.New("the claim is there")
		}
		return nil
	})
	if got := seen(); got != "192.168.1.10 192.168.1.15" {
		t.Errorf("the Service showed %s", got)
	}
}
