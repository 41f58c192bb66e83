// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"

// lan is a pool with one policy.
func lan(policy v1alpha1.AnnouncementPolicy) v1alpha1.VIPPoolSpec {
	s := addresses("192.168.1.240-192.168.1.250", "fd00:1::240-fd00:1::250")
	s.Announcements = []v1alpha1.AnnouncementPolicy{policy}
	return s
}

// candidates wants an announcement to have these, in any order.
func candidates(want ...string) func(*v1alpha1.VIPAnnouncement) error {
	return func(a *v1alpha1.VIPAnnouncement) error {
		if got := slices.Sorted(slices.Values(a.Spec.Candidates)); !slices.Equal(got, want) {
			return fmt.Errorf("candidates %v, want %v", a.Spec.Candidates, want)
		}
		return nil
	}
}

// announced wants a condition of an announcement.
func announced(status metav1.ConditionStatus, reason string, parts ...string) func(*v1alpha1.VIPAnnouncement) error {
	return func(a *v1alpha1.VIPAnnouncement) error {
		return condition(a.Status.Conditions, v1alpha1.Announced, status, reason, parts...)
	}
}

// both wants two things.
func both(a, b func(*v1alpha1.VIPAnnouncement) error) func(*v1alpha1.VIPAnnouncement) error {
	return func(x *v1alpha1.VIPAnnouncement) error { return errors.Join(a(x), b(x)) }
}

func TestMissingInterface(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"), card("mgmt0", "10.0.0.1/24"))
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node2", Labels: map[string]string{excludeLabel: ""}}}
	w.create(n)
	w.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node3"}})
	w.pool("lan", lan(v1alpha1.AnnouncementPolicy{Interfaces: []v1alpha1.InterfacePattern{"eth9"}}))
	w.manager()
	w.service("web")
	why := `no node may speak for 192.168.1.240: node1: no interface matches "eth9" (has eth0, mgmt0); ` +
		`node2: label ` + excludeLabel + ` is set; node3: no agent has reported its interfaces`
	a := w.announcement("web", both(candidates(), announced(no, v1alpha1.ReasonNoEligibleNode, why)))
	if a.Spec.Excluded["node2"] == "" || len(a.Spec.Excluded) != 1 || !slices.Equal(a.Spec.Interfaces, []v1alpha1.InterfacePattern{"eth9"}) {
		t.Errorf("excluded %v, interfaces %v", a.Spec.Excluded, a.Spec.Interfaces)
	}
	w.event("web", v1alpha1.ReasonNoEligibleNode, why)
	w.shows("web", "192.168.1.240") // it has its address all the same

	// The facts of a node bring the candidate, and the label's going another.
	w.facts("node3", card("eth9"))
	w.announcement("web", both(candidates("node3"), announced(unknown, v1alpha1.ReasonPending, "node3")))
	if n := len(w.events("web", v1alpha1.ReasonNoEligibleNode)); n != 1 {
		t.Errorf("%d Events", n)
	}
}

func TestFactsBringCandidates(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"node1", "node2", "node3"} {
		w.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n}})
	}
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	w.service("web")
	w.announcement("web", announced(no, v1alpha1.ReasonNoEligibleNode, "node1: no agent has reported"))
	w.facts("node1", card("eth0", "192.168.1.11/24"))
	w.announcement("web", candidates("node1"))
	w.facts("node2", card("eth0", "10.0.0.2/24"))
	w.facts("node3", v1alpha1.InterfaceFacts{Name: "eth0", MAC: "02:00:00:00:00:03", Prefixes: []string{"10.0.0.3/24"}, DefaultRoute4: true})
	w.announcement("web", candidates("node1", "node3"))
	w.eventually(func(context.Context) error {
		if l := w.lease("web"); l.Annotations[v1alpha1.AnnotationCandidates] != "node1,node3" {
			return fmt.Errorf("%v", l.Annotations)
		}
		return nil
	})
}

func TestOwnerStaysFirstAndIsExcludedByName(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.node(fmt.Sprintf("node%d", i+1), card("eth0", fmt.Sprintf("192.168.1.1%d/24", i)))
	}
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	w.service("web")
	a := w.announcement("web", candidates("node1", "node2", "node3"))
	last := a.Spec.Candidates[2]
	w.hold("web", last)
	w.speaks("web", last, "192.168.1.240")
	w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if a.Spec.Candidates[0] != last {
			return fmt.Errorf("%v, owner %s", a.Spec.Candidates, last)
		}
		return nil
	})

	var n corev1.Node
	if err := w.client.Get(t.Context(), types.NamespacedName{Name: last}, &n); err != nil {
		t.Fatal(err)
	}
	n.Labels = map[string]string{excludeLabel: "true"}
	w.update(&n)
	a = w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if a.Spec.Excluded[last] != "label "+excludeLabel+" is set" || slices.Contains(a.Spec.Candidates, last) || len(a.Spec.Candidates) != 2 {
			return fmt.Errorf("candidates %v, excluded %v", a.Spec.Candidates, a.Spec.Excluded)
		}
		return nil
	})
	// The status is the holder's, who has not handed over yet.
	if err := announced(yes, v1alpha1.ReasonSpeaking)(a); err != nil || a.Status.Node != last {
		t.Errorf("%v %+v", err, a.Status)
	}
	if l := w.lease("web"); *l.Spec.HolderIdentity != last {
		t.Errorf("the manager changed the holder: %v", l.Spec)
	}

	for reason, mark := range map[string]func(*corev1.Node){
		"taint node.kubernetes.io/out-of-service is set": func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/out-of-service", Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}}
		},
		"condition NetworkUnavailable is true": func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}
		},
	} {
		n.Labels, n.Spec.Taints, n.Status.Conditions = nil, nil, nil
		mark(&n)
		status := n.Status
		w.update(&n)
		n.Status = status
		if err := w.client.Status().Update(t.Context(), &n); err != nil {
			t.Fatal(err)
		}
		w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
			if a.Spec.Excluded[last] != reason {
				return fmt.Errorf("excluded %v", a.Spec.Excluded)
			}
			return nil
		})
	}
}

func TestPolicyOfThePool(t *testing.T) {
	w := newWorld(t)
	for name, rack := range map[string]string{"node1": "a", "node2": "b", "node3": "b"} {
		w.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"rack": rack, "name": name}}})
		w.facts(name, card("eth0", "192.168.1.11/24"), card("bond1"))
	}
	spec := addresses("192.168.1.240-192.168.1.250")
	spec.Announcements = []v1alpha1.AnnouncementPolicy{
		{ServiceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}, Interfaces: []v1alpha1.InterfacePattern{"bond*"}},
		{
			NodeSelector:   &metav1.LabelSelector{MatchLabels: map[string]string{"rack": "b"}},
			PreferredNodes: []v1alpha1.PreferredNodes{{Weight: 9, NodeSelector: metav1.LabelSelector{MatchLabels: map[string]string{"name": "node3"}}}},
		},
	}
	p := w.pool("lan", spec)
	w.manager()
	w.service("gold", func(s *corev1.Service) { s.Labels = map[string]string{"tier": "gold"} })
	if a := w.announcement("gold", candidates("node1", "node2", "node3")); !slices.Equal(a.Spec.Interfaces, []v1alpha1.InterfacePattern{"bond*"}) {
		t.Errorf("interfaces %v", a.Spec.Interfaces)
	}
	w.service("plain")
	a := w.announcement("plain", candidates("node2", "node3"))
	if a.Spec.Candidates[0] != "node3" || a.Spec.Excluded["node1"] != "the pool's nodeSelector does not match" || len(a.Spec.Interfaces) != 0 {
		t.Errorf("%+v", a.Spec)
	}
	p = w.reread(p)
	p.Spec.Announcements = nil
	w.update(p)
	w.announcement("plain", candidates("node1", "node2", "node3"))
}

func TestLocalNeedsAnEndpoint(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.node("node2", card("eth0", "192.168.1.12/24"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	w.service("web", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal })
	w.announcement("web", announced(no, v1alpha1.ReasonNoEligibleNode, "node1: no ready endpoint of the Service is on it, and externalTrafficPolicy is Local"))
	endpoint := func(node string, ready, serving, terminating bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{"10.1.1.1"}, NodeName: &node,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}}
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: w.namespace, Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{endpoint("node1", true, true, false), endpoint("node2", false, true, true)},
	}
	w.create(slice)
	a := w.announcement("web", candidates("node1"))
	if len(a.Spec.Excluded) != 0 {
		t.Errorf("a node without endpoint is excluded by name: %v", a.Spec.Excluded)
	}
	slice.Endpoints[0] = endpoint("node1", false, false, false)
	w.update(slice)
	w.announcement("web", candidates("node2")) // going, but it serves
	slice.Endpoints = []discoveryv1.Endpoint{endpoint("node1", true, true, false), endpoint("node2", true, true, false)}
	w.update(slice)
	w.announcement("web", candidates("node1", "node2"))
}

func TestDualStackPrefersNodesWithBoth(t *testing.T) {
	w := newWorld(t)
	w.node("four", card("eth0", "192.168.1.11/24"))
	w.node("both", card("eth0", "192.168.1.12/24", "fd00:1::12/64"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250", "fd00:1::240-fd00:1::250"))
	w.manager()
	w.service("web", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
	w.announcement("web", candidates("both"))
	w.service("single")
	w.announcement("single", candidates("both", "four"))
}

// The status is the speaker's; the manager speaks up when nobody holds the Lease, and
// clears away what is not so any more.
func TestStatusIsTheSpeakers(t *testing.T) {
	w := newWorld(t)
	n := w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	w.service("web")
	w.announcement("web", announced(unknown, v1alpha1.ReasonPending, "node1"))
	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.240")
	w.announcement("web", announced(yes, v1alpha1.ReasonSpeaking))

	w.speaks("web", "") // it gives up, and says so
	w.hold("web", "")
	w.announcement("web", announced(no, v1alpha1.ReasonWithdrawn))

	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.240")
	w.hold("web", "") // it gives up, and dies before it says so
	w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if a.Status.Node != "" || len(a.Status.Addresses) != 0 {
			return fmt.Errorf("%+v", a.Status)
		}
		return announced(unknown, v1alpha1.ReasonPending)(a)
	})

	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.240")
	w.delete(n)
	w.announcement("web", both(candidates(), announced(yes, v1alpha1.ReasonSpeaking)))
	w.hold("web", "")
	w.announcement("web", announced(no, v1alpha1.ReasonNoEligibleNode, "the cluster has no nodes"))
}

// A Lease that somebody deleted is created anew, held by him who speaks.
func TestDeletedLeaseComesBackHeld(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.node("node2", card("eth0", "192.168.1.12/24"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	w.service("web")
	w.hold("web", "node2")
	w.speaks("web", "node2", "192.168.1.240")
	w.announcement("web", func(a *v1alpha1.VIPAnnouncement) error {
		if len(a.Spec.Candidates) != 2 || a.Spec.Candidates[0] != "node2" {
			return fmt.Errorf("%v", a.Spec.Candidates)
		}
		return nil
	})
	before := w.lease("web")
	w.delete(before)
	w.eventually(func(context.Context) error {
		l := w.lease("web")
		if l == nil || l.UID == before.UID || l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != "node2" {
			return fmt.Errorf("%+v", l)
		}
		return nil
	})
	// One that lost the label it is watched by gets it back.
	l := w.lease("web")
	delete(l.Labels, v1alpha1.LabelWatch)
	w.update(l)
	w.eventually(func(context.Context) error {
		if l := w.lease("web"); l.Labels[v1alpha1.LabelWatch] != v1alpha1.WatchService {
			return fmt.Errorf("%v", l.Labels)
		}
		return nil
	})
}

// What nodes that are gone left behind is swept when it is silent, and not before.
func TestLeasesOfGoneNodesAreSwept(t *testing.T) {
	w := newWorld(t)
	seconds := int32(1)
	left := func(node string) {
		w.facts(node, card("eth0", "192.168.1.11/24"))
		var l coordinationv1.Lease
		if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: system, Name: v1alpha1.NodeLease(node)}, &l); err != nil {
			t.Fatal(err)
		}
		l.Spec.LeaseDurationSeconds = &seconds
		w.update(&l)
	}
	w.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here"}})
	left("here")
	left("gone")
	w.manager()
	w.eventuallyWithin(time.Minute, func(ctx context.Context) error {
		return errors.Join(
			w.isGone(ctx, &coordinationv1.Lease{}, types.NamespacedName{Namespace: system, Name: v1alpha1.NodeLease("gone")}),
			w.isGone(ctx, &coordinationv1.Lease{}, types.NamespacedName{Namespace: system, Name: v1alpha1.FactsLease("gone")}),
		)
	})
	var l coordinationv1.Lease
	for _, name := range []string{v1alpha1.NodeLease("here"), v1alpha1.FactsLease("here")} {
		if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: system, Name: name}, &l); err != nil {
			t.Errorf("Lease %s: %v", name, err)
		}
	}
}

// Somebody deletes the claim, and clears the status: both come back, and at no time does
// the announcement lose the address, which would silence the speaker.
func TestWhatIsDeletedComesBackUnheard(t *testing.T) {
	w := newWorld(t)
	w.node("node1", card("eth0", "192.168.1.11/24"))
	w.pool("lan", addresses("192.168.1.240-192.168.1.250"))
	w.manager()
	s := w.service("web", annotated(v1alpha1.AnnotationPool, "lan"))
	w.hold("web", "node1")
	w.speaks("web", "node1", "192.168.1.240")
	w.announcement("web", candidates("node1"))

	c, err := client.NewWithWatch(server.config, client.Options{Scheme: w.client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := c.Watch(t.Context(), &v1alpha1.VIPAnnouncementList{}, client.InNamespace(w.namespace))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		w.delete(w.claim("192.168.1.240"))
		w.eventually(func(context.Context) error {
			if w.claim("192.168.1.240") == nil {
				return fmt.Errorf("round %d: no claim", i)
			}
			return nil
		})
		w.eventually(func(ctx context.Context) error {
			w.get("web", s)
			s.Status.LoadBalancer.Ingress = nil
			return w.client.Status().Update(ctx, s)
		})
		w.shows("web", "192.168.1.240")
	}
	time.Sleep(200 * time.Millisecond)
	watcher.Stop()
	for e := range watcher.ResultChan() {
		if a, ok := e.Object.(*v1alpha1.VIPAnnouncement); ok && len(a.Spec.Addresses) != 1 {
			t.Errorf("%s: announced %v", e.Type, a.Spec.Addresses)
		}
	}
}
