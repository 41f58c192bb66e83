// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/agent/wire/wiretest"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// stage is a loop with 5,000 dual-stack VIPs of which it speaks for every fifth, stepped
// by hand at a clock of its own.
type stage struct {
	*loop

	clock  election.Time
	leases sync.Map // by name
}

// Read, Swap and ReadBeat find the Leases as they were made.
func (s *stage) Read(_ context.Context, name string) (*coordinationv1.Lease, error) {
	l, _ := s.leases.Load(name)
	object, _ := l.(*coordinationv1.Lease)
	return object, nil
}

func (*stage) Swap(context.Context, *coordinationv1.Lease, string, int32) (*coordinationv1.Lease, error) {
	return nil, errors.New("nobody writes here")
}

func (*stage) ReadBeat(context.Context, string) (lease.Beat, error) {
	return lease.Beat{}, errors.New("the benchmark brings them")
}

func (*stage) put(types.NamespacedName, report)    {}
func (*stage) found(types.NamespacedName, finding) {}
func (*stage) record(event)                        {}

type noFacts struct{}

func (noFacts) put(v1alpha1.Facts) {}

func newStage(b testing.TB, vips, nodes int) *stage {
	b.Helper()
	s := &stage{clock: time.Hour}
	l := newLoop(election.Defaults("node0"), s, Options{Node: "node0", Log: logr.Discard()})
	segment := wiretest.NewSegment()
	l.ports.make = func(c wire.Config) (port, error) { return segment.Plug(c), nil }
	l.now = func() election.Time { return s.clock }
	l.report, l.events, l.publics, l.ctx, s.loop = s, s, noFacts{}, b.Context(), l
	l.take(linksChanged{links: link.Snapshot{Interfaces: []link.Interface{{
		Name: "eth0", MAC: neighbor.MAC{2, 1}, IPv4: netip.MustParseAddr("10.0.0.1"), LinkLocal: netip.MustParseAddr("fe80::1"),
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8"), netip.MustParsePrefix("2001:db8::1/64")},
	}}}})
	s.beat()
	for i := range vips {
		holder := fmt.Sprintf("node%d", i%nodes)
		one := int32(1)
		name := fmt.Sprintf("web%d", i)
		uid := types.UID("service " + name)
		object := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{
				Name: v1alpha1.ServiceLease("default", name), UID: types.UID("lease " + name), ResourceVersion: "1",
				Labels:      map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchService},
				Annotations: map[string]string{v1alpha1.AnnotationServiceUID: string(uid)},
			},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseTransitions: &one},
		}
		s.leases.Store(object.Name, object)
		l.take(leaseChanged{name: object.Name, lease: object})
		yes := true
		l.take(announcementChanged{key: types.NamespacedName{Namespace: "default", Name: name}, announcement: &v1alpha1.VIPAnnouncement{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: name,
				OwnerReferences: []metav1.OwnerReference{{Kind: "Service", Name: name, UID: uid, Controller: &yes}},
			},
			Spec: v1alpha1.VIPAnnouncementSpec{
				LeaseName: v1alpha1.ServiceLease("default", name),
				Addresses: []v1alpha1.AnnouncedAddress{
					{Address: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}).String()},
					{Address: fmt.Sprintf("2001:db8::%x", i+0x100)},
				},
				Candidates: []string{holder, "node0", "node1", "node2"},
			},
			Status: v1alpha1.VIPAnnouncementStatus{Probed: []string{
				netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}).String(), fmt.Sprintf("2001:db8::%x", i+0x100),
			}},
		}})
	}
	for range 100 { // read, asked, spoken for
		s.turn()
		l.calls.Wait()
		for len(l.in) > 0 {
			l.take(<-l.in)
		}
		s.clock += 20 * time.Millisecond
	}
	speaks := 0
	for _, r := range l.reigns {
		if _, ok := r.state.Voice(); ok {
			speaks++
		}
	}
	if speaks != vips/nodes {
		b.Fatalf("speaks for %d VIPs, want %d", speaks, vips/nodes)
	}
	return s
}

// beat has a heartbeat sent and come back.
func (s *stage) beat() {
	stamp := metav1.NewMicroTime(time.Unix(0, int64(s.clock)))
	s.take(beatSent{stamp: stamp, at: s.clock})
	s.echo(stamp)
}

// BenchmarkIdle is one second of a node with 5,000 VIPs on which nothing happens: its own
// heartbeat, the reads of the others', and the loop's ticks. Its time in milliseconds
// divided by ten is the load of one CPU in percent.
func BenchmarkIdle(b *testing.B) {
	for _, nodes := range []int{5, 100} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			s := newStage(b, 5000, nodes)
			seen := 0
			for n := 0; b.Loop(); n++ {
				if n%2 == 0 {
					s.beat()
				}
				for range int(time.Second / tickEvery) {
					s.clock += tickEvery
					s.turn()
				}
				for i := 1 + n%2; i < nodes; i += 2 { // each once in two seconds
					seen++
					s.peerRead(peerRead{ok: true, beat: election.PeerBeat{
						Node: fmt.Sprintf("node%d", i), Asked: s.clock, Came: s.clock, Seen: fmt.Sprint(seen),
					}})
				}
				s.calls.Wait()
				for len(s.in) > 0 {
					<-s.in
				}
			}
		})
	}
}

// BenchmarkPublish is what one change of a voice costs among 5,000 VIPs.
func BenchmarkPublish(b *testing.B) {
	s := newStage(b, 5000, 5)
	r := s.reigns[v1alpha1.ServiceLease("default", "web0")]
	for b.Loop() {
		s.mark(r)
		s.publish()
	}
}
