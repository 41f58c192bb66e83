// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

func TestKernelAnswersIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		key := w.announce("web", "n1", "n2")
		local := func(node, dev string) {
			m := w.nodes[node]
			s := link.Snapshot{Interfaces: []link.Interface{m.eth0()}}
			if dev != "" {
				s.Locals = []link.Local{{Addr: netip.MustParseAddr(vip4), Interface: dev, On: []string{"eth0"}}}
			}
			m.loop.put(linksChanged{links: s})
		}
		local("n2", "kube-ipvs0")
		time.Sleep(10 * time.Second)
		if got := w.answers(vip4); !slices.Equal(got, []string{"n1"}) {
			t.Errorf("%v answer", got)
		}
		want := []v1alpha1.Conflict{{Address: vip4, MAC: "02:00:00:00:00:02", Reporter: "n2", Node: "n2", Interface: "kube-ipvs0", Reason: v1alpha1.ReasonKernelAnswers}}
		if got := w.conflicts(key); !slices.Equal(got, want) {
			t.Errorf("conflicts %+v", got)
		}
		c := meta.FindStatusCondition(w.status(key).Conditions, v1alpha1.KernelAnswers)
		if c == nil || !strings.Contains(c.Message, "strictARP") || !strings.Contains(c.Message, "node n2") {
			t.Errorf("condition %+v", c)
		}
		has(t, w.nodes["n2"].notes(), "KernelAnswers", "arp_ignore=1", "two cards may answer")
		local("n1", "eth0")
		time.Sleep(time.Second)
		has(t, w.nodes["n1"].notes(), "KernelAnswers", "ip addr del "+vip4+"/32 dev eth0")
		local("n1", "")
		local("n2", "")
		time.Sleep(time.Second)
		if s := w.status(key); len(s.Conflicts) != 0 || meta.FindStatusCondition(s.Conditions, v1alpha1.KernelAnswers) != nil {
			t.Errorf("status %+v", s)
		}
	})
}

// The kernel of a node that is known to answer keeps nobody from the address.
func TestKnownKernelIsNoStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		m := w.nodes["n2"]
		w.segment.Host(m.mac, netip.MustParseAddr(vip4)) // n2's kernel
		w.announce("web", "n1", "n2")
		m.loop.put(linksChanged{links: link.Snapshot{
			Interfaces: []link.Interface{m.eth0()},
			Locals:     []link.Local{{Addr: netip.MustParseAddr(vip4), Interface: "kube-ipvs0", On: []string{"eth0"}}},
		}})
		time.Sleep(12 * time.Second)
		if got := w.answers(vip4); !slices.Contains(got, "n1") {
			t.Errorf("%v answer", got)
		}
		for _, n := range w.nodes["n1"].notes() {
			if strings.HasPrefix(n, v1alpha1.EventAddressConflict) {
				t.Errorf("Event %q", n)
			}
		}
	})
}
