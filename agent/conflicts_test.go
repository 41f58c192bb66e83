// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire/wiretest"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

var foreign = neighbor.MAC{2, 0xff, 0, 0, 0, 9}

// newLAN is a world whose addresses nobody has used yet.
func newLAN(t *testing.T, nodes ...string) *world {
	w := newWorld(t, nodes...)
	w.unprobed = true
	time.Sleep(3 * time.Second) // what a node knows of its links and peers
	return w
}

// stranger plugs in a host with one of our addresses.
func (w *world) stranger(addr string) *wiretest.Port {
	return w.segment.Host(foreign, netip.MustParseAddr(addr))
}

// proxy plugs in a device that answers every ARP request.
func (w *world) proxy(mac neighbor.MAC) {
	self := neighbor.Self{MAC: mac, Cluster: [8]byte{'n', 'o', 'n', 'e'}}
	w.segment.Tap(func(frame []byte) {
		if binary.BigEndian.Uint16(frame[12:]) != 0x0806 || frame[21] != 1 || neighbor.MAC(frame[6:12]) == mac {
			return
		}
		target := netip.AddrFrom4([4]byte(frame[38:42]))
		v := neighbor.NewTable(self, []neighbor.Entry{{Addr: target, Voice: true}}).Decide(nil, frame, neighbor.Gate{Now: 1, Tick: 1})
		if v.Reply != nil {
			time.AfterFunc(time.Millisecond, func() { w.segment.Inject(v.Reply) })
		}
	})
}

// conflicts gives what the status says of others, without times.
func (w *world) conflicts(key types.NamespacedName) []v1alpha1.Conflict {
	var cs []v1alpha1.Conflict
	for _, c := range w.status(key).Conflicts {
		c.Since = metav1.Time{}
		cs = append(cs, c)
	}
	return cs
}

// asks counts the questions for an address that go to everyone.
func (w *world) asks(addr string) *int {
	n := new(int)
	want := netip.MustParseAddr(addr).AsSlice()
	w.segment.Tap(func(frame []byte) {
		if binary.BigEndian.Uint16(frame[12:]) == 0x0806 && frame[0] == 0xff && string(frame[38:42]) == string(want) && frame[28] == 0 {
			*n++
		}
	})
	return n
}

func TestNewAddressIsProbedBeforeAnybodySpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		asked := w.asks(vip4)
		key := w.announce("web", "n1", "n2")
		time.Sleep(700 * time.Millisecond)
		w.speaks("")
		w.until("n1", 2*time.Second)
		time.Sleep(time.Second)
		w.speaks("n1")
		s := w.status(key)
		slices.Sort(s.Probed)
		if !slices.Equal(s.Probed, []string{vip4, vip6}) || len(s.Conflicts) != 0 || *asked < 3 {
			t.Errorf("probed %v, conflicts %v, %d probes", s.Probed, s.Conflicts, *asked)
		}
		if n := len(w.nodes["n1"].notes()); n != 1 {
			t.Errorf("%d Events", n)
		}
	})
}

// A takeover, a restart and a new Lease probe nothing that was used before.
func TestUsedAddressIsNotProbedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 15*time.Second)
		time.Sleep(20 * time.Second)
		w.nodes["n1"].kill()
		w.until("n2", 600*time.Millisecond)
		w.nodes["n2"].kill()
		w.boot("n2")
		w.until("n2", 2*time.Second)
	})
}

// While nobody holds the Lease, the next candidate probes what the first does not.
func TestNextCandidateProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		w.announce("web", "n7", "n2")
		w.until("n2", 11*time.Second)
	})
}

// The holder of the Lease is gone before it has probed: another one does, and takes over.
func TestHolderIsGoneBeforeItProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		l := w.lease("web")
		gone := "n7"
		l.Spec.HolderIdentity, l.Spec.LeaseTransitions = &gone, new(int32(1))
		w.write(l)
		w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) { s.Candidates = []string{"n7", "n2"} })
		w.until("n2", 60*time.Second)
	})
}

// The address of a foreign host is not used, is told of, and is used once it is free.
func TestForeignHostKeepsTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		host := w.stranger(vip4)
		key := w.announce("web", "n1", "n2")
		for range 300 {
			time.Sleep(200 * time.Millisecond)
			if got := w.answers(vip4); !slices.Equal(got, []string{"n9"}) {
				t.Fatalf("%v answer", got)
			}
		}
		if got := w.answers(vip6); !slices.Equal(got, []string{"n1"}) { // the other address is not held up
			t.Errorf("%v answer for %s", got, vip6)
		}
		c := meta.FindStatusCondition(w.status(key).Conditions, v1alpha1.AddressConflict)
		if c == nil || c.Status != metav1.ConditionTrue || c.Reason != v1alpha1.ReasonForeignHost || !strings.Contains(c.Message, foreign.String()) {
			t.Errorf("condition %+v", c)
		}
		if slices.Contains(w.status(key).Probed, vip4) {
			t.Error("it counts as free")
		}
		has(t, w.nodes["n1"].notes(), "AddressConflict: "+vip4, foreign.String(), "eth0", "unless the Service asked for this very address")
		host.Fail(errors.New("gone"))
		w.until("n1", 45*time.Second)
		time.Sleep(15 * time.Second)
		if cs := w.conflicts(key); len(cs) != 0 || meta.FindStatusCondition(w.status(key).Conditions, v1alpha1.AddressConflict) != nil {
			t.Errorf("conflicts %v", cs)
		}
	})
}

// A device that answers for everything burns no address.
func TestProxyKeepsNoAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		w.proxy(foreign)
		key := w.announce("web", "n1", "n2")
		time.Sleep(20 * time.Second)
		if got := w.answers(vip4); !slices.Contains(got, "n1") {
			t.Errorf("%v answer", got)
		}
		want := []v1alpha1.Conflict{{Address: vip4, MAC: foreign.String(), Reporter: "n1", Interface: "eth0", Reason: v1alpha1.ReasonProxyAnswers}}
		if got := w.conflicts(key); !slices.Equal(got, want) {
			t.Errorf("conflicts %+v", got)
		}
		has(t, w.nodes["n1"].notes(), "AddressConflict", "proxy ARP", "Switch its proxying off")
	})
}

// Who claims an address that is in use is told of and answered with a claim, in the limits of
// RFC 5227 section 2.4; with the policy Yield it is only told of.
func TestForeignClaimOfAnAddressInUse(t *testing.T) {
	for _, policy := range []v1alpha1.ConflictPolicy{v1alpha1.DefendAddress, v1alpha1.YieldAddress} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "n1", "n2")
				w.lease("web")
				key := w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) {
					s.Candidates = []string{"n1", "n2"}
					s.Addresses = []v1alpha1.AnnouncedAddress{{Address: vip4, ConflictPolicy: policy}}
				})
				w.until("n1", 5*time.Second)
				time.Sleep(30 * time.Second) // its own rounds are over
				claims := 0
				w.segment.Tap(func(frame []byte) {
					if neighbor.MAC(frame[6:12]) == w.nodes["n1"].mac && frame[0] == 0xff && frame[31] == 240 && binary.BigEndian.Uint16(frame[12:]) == 0x0806 {
						claims++
					}
				})
				host := w.stranger(vip4)
				for range 195 {
					host.Claim(netip.MustParseAddr(vip4))
					time.Sleep(100 * time.Millisecond)
				}
				want := 4 // in both forms, at 0 and 10 s
				if policy == v1alpha1.YieldAddress {
					want = 0
				}
				if claims != want {
					t.Errorf("%d claims in 19.5 s, want %d", claims, want)
				}
				if got := w.conflicts(key); len(got) != 1 || got[0].Reason != v1alpha1.ReasonForeignHost || got[0].MAC != foreign.String() {
					t.Errorf("conflicts %+v", got)
				}
				if n := len(w.nodes["n1"].notes()); n != 2 {
					t.Errorf("Events %q", w.nodes["n1"].notes())
				}
				reports := w.nodes["n1"].reports + w.nodes["n1"].findings
				time.Sleep(5 * time.Minute) // it goes on answering
				if n := w.nodes["n1"].reports + w.nodes["n1"].findings - reports; n != 0 {
					t.Errorf("%d more reports", n)
				}
				host.Fail(errors.New("gone"))
				time.Sleep(3 * time.Minute)
				if got := w.conflicts(key); len(got) != 0 {
					t.Errorf("conflicts %+v after it left", got)
				}
			})
		})
	}
}

// A conflict that another node reported ends with its voice; one that the own agent before
// reported stands until it is known whether it still holds.
func TestConflictsOutliveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		key := w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		host := w.stranger(vip4)
		time.Sleep(30 * time.Second)
		if got := w.conflicts(key); len(got) != 1 {
			t.Fatalf("conflicts %+v", got)
		}
		w.nodes["n1"].kill()
		w.boot("n1")
		time.Sleep(time.Second)
		if got := w.conflicts(key); len(got) != 1 {
			t.Errorf("conflicts %+v after a restart", got)
		}
		time.Sleep(2 * time.Minute)
		if got := w.nodes["n1"].notes(); len(got) > 1 || w.conflicts(key)[0].Reporter == "" {
			t.Errorf("Events %q after a restart", got)
		}
		host.Fail(errors.New("gone"))
		w.nodes["n1"].kill()
		time.Sleep(5 * time.Second)
		if s := w.status(key); s.Node != "n2" || len(s.Conflicts) != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// A thousand new Services at once are probed side by side.
func TestManyNewServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLAN(t, "n1", "n2")
		const n = 300
		for i := range n {
			name := "web" + strconv.Itoa(i)
			w.lease(name)
			w.publish(name, func(s *v1alpha1.VIPAnnouncementSpec) {
				s.Candidates = []string{"n1", "n2"}
				s.Addresses = []v1alpha1.AnnouncedAddress{{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 200)}).String()}}
				if i >= 200 {
					s.Addresses[0].Address = netip.AddrFrom4([4]byte{198, 51, 100, byte(i % 200)}).String()
				}
				s.Interfaces = []v1alpha1.InterfacePattern{"eth0"}
			})
		}
		time.Sleep(25 * time.Second)
		synctest.Wait()
		spoken := 0
		for key := range w.announcements {
			if w.status(key).Node == "n1" {
				spoken++
			}
		}
		if spoken != n {
			t.Errorf("%d of %d are spoken for", spoken, n)
		}
	})
}

// A takeover is claimed towards the gateways' cards as well.
func TestTakeoverClaimsToTheGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "n1", "n2")
		w.announce("web", "n1", "n2")
		w.until("n1", 5*time.Second)
		time.Sleep(20 * time.Second)
		claimed := map[uint16]bool{}
		w.segment.Tap(func(frame []byte) {
			if neighbor.MAC(frame[0:6]) == (neighbor.MAC{2, 0, 0, 0, 0, 0xfe}) && neighbor.MAC(frame[6:12]) == w.nodes["n2"].mac {
				proto := binary.BigEndian.Uint16(frame[12:])
				if proto == 0x0806 && frame[31] == 240 || proto == 0x86dd && frame[54] == 136 {
					claimed[proto] = true
				}
			}
		})
		w.nodes["n1"].kill()
		w.until("n2", 600*time.Millisecond)
		if len(claimed) != 2 {
			t.Errorf("claimed %v", claimed)
		}
	})
}

// told counts what is put into statuses.
type told struct {
	reports, findings int
	last              finding
}

func (c *told) put(types.NamespacedName, report) { c.reports++ }
func (c *told) found(_ types.NamespacedName, f finding) {
	c.findings++
	c.last = f
}

// An agent in the shadow says nothing of what the one that speaks has found; and what that one found
// last stands until it is known whether it still holds.
func TestShadowTellsNothing(t *testing.T) {
	l := newLoop(election.Defaults("n1"), nil, Options{Node: "n1", Log: logr.Discard()})
	t.Cleanup(l.ports.close)
	now, told := time.Hour, &told{}
	l.ctx, l.report, l.shadow, l.now = t.Context(), told, true, func() election.Time { return now }
	see := func(cs ...v1alpha1.Conflict) {
		l.take(announcementChanged{key: types.NamespacedName{Namespace: "default", Name: "web"}, announcement: &v1alpha1.VIPAnnouncement{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "one"},
			Spec: v1alpha1.VIPAnnouncementSpec{
				LeaseName: v1alpha1.ServiceLease("default", "web"), Addresses: []v1alpha1.AnnouncedAddress{{Address: vip4}}, Candidates: []string{"n1"},
			},
			Status: v1alpha1.VIPAnnouncementStatus{Probed: []string{vip4}, Conflicts: cs},
		}})
	}
	see()
	see(uses(vip4, "n1", v1alpha1.ReasonForeignHost))
	now += 2 * formerFor
	l.reviewFindings(now)
	if told.findings != 0 {
		t.Fatal("the shadow tells what it does not know")
	}
	l.take(voiceHeld{})
	now += formerFor - time.Second
	l.reviewFindings(now)
	if told.findings != 0 {
		t.Error("what was found before was taken back at once")
	}
	now += time.Second
	l.reviewFindings(now)
	if told.findings != 1 || len(told.last.conflicts) != 0 {
		t.Errorf("%d findings, the last %+v", told.findings, told.last)
	}
}
