// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/placement"
)

// beatOf is a heartbeat as it arrives; what time it claims for itself does not matter.
func beatOf(node, version string, seconds int32) *coordinationv1.Lease {
	long := metav1.NewMicroTime(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.NodeLease(node), ResourceVersion: version, Labels: map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchNode(node)}},
		Spec:       coordinationv1.LeaseSpec{LeaseDurationSeconds: &seconds, RenewTime: &long},
	}
}

func factsOf(node, text string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: v1alpha1.FactsLease(node), Labels: map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchFacts},
		Annotations: map[string]string{v1alpha1.AnnotationFacts: text},
	}}
}

func TestSilenceIsJudgedByArrival(t *testing.T) {
	now := time.Unix(1000, 0)
	r := New(func() time.Time { return now })
	if !r.Silent("n") {
		t.Error("a node that was never heard is silent")
	}
	r.putLease(beatOf("n", "1", 2))
	now = now.Add(6 * time.Second)
	if r.Silent("n") {
		t.Error("silent after three durations")
	}
	now = now.Add(time.Second)
	r.putLease(beatOf("n", "1", 2)) // a resync: the same heartbeat again
	if !r.Silent("n") {
		t.Error("a resync counts as a heartbeat")
	}
	r.putLease(beatOf("n", "2", 2))
	if r.Silent("n") {
		t.Error("silent after a heartbeat")
	}
	r.dropLease(beatOf("n", "2", 2))
	if !r.Silent("n") {
		t.Error("heard without a heartbeat")
	}
}

func TestViewFollowsFactsAndNodes(t *testing.T) {
	r := New(time.Now)
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{placement.ExcludeLabel: "", "rack": "a", corev1.LabelTopologyZone: "z"}, Annotations: map[string]string{v1alpha1.AnnotationDrain: "why"}}}
	o.Spec.Unschedulable = true
	o.Spec.Taints = []corev1.Taint{{Key: placement.OutOfServiceTaint}}
	o.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}
	r.putNode(o)
	view := View{Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.240"), netip.MustParseAddr("fd00::1")}, Endpoints: map[string]bool{"n": true}}
	see := func() string { return fmt.Sprintf("%+v", r.Nodes(view)) }
	if got, want := see(), "[{Name:n Selected:true ExcludedByLabel:true OutOfService:true NetworkUnavailable:true Drain:why Cordoned:true Zone:z Weight:0 Reported:false Interfaces:[] Refused:[] Reaches:[] Endpoint:true Silent:true}]"; got != want {
		t.Errorf("got %s", got)
	}
	r.putNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	r.putLease(beatOf("n", "1", 6))
	r.putLease(factsOf("n", `{"version":"1","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","prefixes":["192.168.1.7/24"]}],"unknown":1}`))
	if got, want := see(), "[{Name:n Selected:true ExcludedByLabel:false OutOfService:false NetworkUnavailable:false Drain: Cordoned:false Zone: Weight:0 Reported:true Interfaces:[eth0] Refused:[] Reaches:[true false] Endpoint:true Silent:false}]"; got != want {
		t.Errorf("got %s", got)
	}
	view.Patterns = []v1alpha1.InterfacePattern{"eth1"}
	r.putLease(factsOf("n", `{"interfaces":[{"name":"eth0"}],"refused":[{"name":"eth1","why":"is down: set it up"},{"name":"eth2","why":"is down: set it up"}]}`))
	if n := r.Nodes(view)[0]; len(n.Refused) != 1 || n.Refused[0] != "eth1 is down: set it up" || n.Reaches[0] {
		t.Errorf("%+v", n)
	}
	r.putLease(factsOf("n", "not JSON"))
	if n := r.Nodes(view)[0]; n.Reported {
		t.Error("facts that cannot be read count")
	}
	r.putLease(factsOf("n", `{"interfaces":[{"name":"eth0","prefixes":["192.168.1.7/24"]}]}`))
	for _, tc := range []struct {
		node, addr string
		patterns   []v1alpha1.InterfacePattern
		want       bool
	}{
		{"n", "192.168.1.240", nil, true},
		{"n", "fd00::1", nil, false},
		{"n", "fd00::1", []v1alpha1.InterfacePattern{"eth0"}, true},
		{"n", "192.168.1.240", []v1alpha1.InterfacePattern{"eth1"}, false},
		{"m", "192.168.1.240", nil, false},
	} {
		if got := r.Probes(tc.node, netip.MustParseAddr(tc.addr), tc.patterns); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
	r.dropNode(o)
	if len(r.Nodes(view)) != 0 {
		t.Error("the node is still there")
	}
}

// Neither heartbeats, nor what a kubelet writes every few seconds, is a change.
func TestWhatIsAChange(t *testing.T) {
	r := New(time.Now)
	changes := 0
	told := func(what string, want int, f func()) {
		t.Helper()
		changes = 0
		f()
		if changes != want {
			t.Errorf("%s: %d changes, want %d", what, changes, want)
		}
	}
	r.Listen(func(Changed) { changes++ })
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"a": "b"}}}
	told("a node", 1, func() { r.putNode(n) })
	told("the same again", 0, func() { r.putNode(n.DeepCopy()) })
	told("an image on it", 0, func() { n.Status.Images = []corev1.ContainerImage{{}}; r.putNode(n) })
	told("a heartbeat", 0, func() { r.putLease(beatOf("n", "1", 6)); r.putLease(beatOf("n", "2", 6)) })
	told("its end", 0, func() { r.dropLease(beatOf("n", "2", 6)) })
	told("cordon", 1, func() { n = n.DeepCopy(); n.Spec.Unschedulable = true; r.putNode(n) })
	told("drain", 1, func() {
		n = n.DeepCopy()
		n.Annotations = map[string]string{v1alpha1.AnnotationDrain: "true"}
		r.putNode(n)
	})
	told("facts", 1, func() { r.putLease(factsOf("n", "{}")); r.putLease(factsOf("n", "{}")) })
	told("a label", 1, func() { n = n.DeepCopy(); n.Labels["a"] = "c"; r.putNode(n) })
	told("facts that go", 1, func() { r.dropLease(factsOf("n", "{}")) })
	told("the node goes", 1, func() { r.dropNode(n) })
}

func TestHeardAndWell(t *testing.T) {
	now := time.Unix(1000, 0)
	r := New(func() time.Time { return now })
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	is := func(what string, well, overdue bool) {
		t.Helper()
		if got := r.Well(); got["n"] != well || len(got) != 1 {
			t.Errorf("%s: well: %v, want %v", what, got, well)
		}
		if r.Overdue("n") != overdue {
			t.Errorf("%s: overdue is not %v", what, overdue)
		}
	}
	r.putNode(n)
	is("nothing told", false, false)
	r.putLease(factsOf("n", "{}"))
	is("never heard, and no time yet to be", false, false)
	r.putLease(beatOf("n", "1", 6))
	is("told and heard", true, false)
	if l := beatOf("n", "2", 6); r.Latest(l) || !r.Latest(beatOf("n", "1", 6)) {
		t.Error("the latest heartbeat is not known")
	}
	r.putLease(factsOf("n", `{"interfaces":[{"name":"eth0","prefixes":["192.168.1.7/24"]}]}`))
	probes := func() bool { return r.Probes("n", netip.MustParseAddr("192.168.1.240"), nil) }
	if !probes() {
		t.Error("a node that is heard does not probe")
	}
	now = now.Add(6 * time.Second)
	is("late", false, true)
	if probes() {
		t.Error("a node that is not heard probes")
	}
	r.putLease(beatOf("n", "2", 6))
	is("heard again", true, false)
	now = now.Add(time.Second)
	r.dropLease(beatOf("n", "2", 6))
	if at, lasts := r.Heard("n"); now.Sub(at) != time.Second || lasts != 6*time.Second {
		t.Errorf("a Lease that is deleted changes when the node was heard: %v, %v", at, lasts)
	}
	now = now.Add(6 * time.Second)
	is("deleted", false, true)
	r.putLease(beatOf("n", "3", 6))
	for _, c := range []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionUnknown},
		{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue},
	} {
		n = n.DeepCopy()
		n.Status.Conditions = []corev1.NodeCondition{c}
		r.putNode(n)
		is(string(c.Type), false, false)
	}
	n = n.DeepCopy()
	n.Status.Conditions = nil
	r.putNode(n)
	is("all is well again", true, false)
	r.dropLease(factsOf("n", "{}"))
	is("facts are gone", false, false)
	if at, lasts := r.Heard("other"); lasts != defaultLease || !at.Equal(time.Unix(1000, 0)) || !r.Overdue("other") {
		t.Error("a node that was never heard does not count from the start")
	}
}
