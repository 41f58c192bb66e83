// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/agent/wire/wiretest"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	vip4     = "192.0.2.240"
	vip6     = "2001:db8::f0"
	gateway4 = "192.0.2.254"
	gateway6 = "fe80::fe"
	latency  = 2 * time.Millisecond // of the API
)

// world is a cluster in memory: an API server that keeps Leases and announcements, a
// segment, and nodes with the loop as it ships. It runs in a synctest bubble.
type world struct {
	t       *testing.T
	segment *wiretest.Segment
	nodes   map[string]*machine

	linksTake time.Duration // until an agent knows its links
	isolated  bool          // no agent hears another
	unprobed  bool          // addresses are new to the network
	key       neighbor.Key  // of the marks

	asked   netip.Addr // by the customer, and the nodes that answered
	replies []string

	mu            sync.Mutex // guards what follows
	agents        []*wiretest.Port
	version       int
	leases        map[string]*coordinationv1.Lease
	announcements map[types.NamespacedName]*v1alpha1.VIPAnnouncement
	swaps         int
}

// machine is a node with its agent.
type machine struct {
	world *world
	name  string
	mac   neighbor.MAC
	loop  *loop
	stop  context.CancelFunc
	ended chan struct{}
	watch chan input
	known map[string]bool // Leases it has been told of; world.mu guards it

	mu       sync.Mutex // guards what follows
	cut      bool       // from the API
	leaving  bool
	poisoned bool
	portErr  error // of ports that are made
	ports    []*wiretest.Port
	events   []event
	reports  int
	findings int // world.mu guards it
}

func newWorld(t *testing.T, nodes ...string) *world {
	w := &world{}
	w.begin(t, nodes...)
	return w
}

func (w *world) begin(t *testing.T, nodes ...string) {
	w.t, w.segment, w.nodes = t, wiretest.NewSegment(), map[string]*machine{}
	w.leases, w.announcements = map[string]*coordinationv1.Lease{}, map[types.NamespacedName]*v1alpha1.VIPAnnouncement{}
	w.segment.Host(neighbor.MAC{2, 0, 0, 0, 0, 0xfe}, netip.MustParseAddr(gateway4), netip.MustParseAddr(gateway6))
	w.segment.Tap(w.hear)
	for _, n := range nodes {
		w.boot(n)
	}
	t.Cleanup(func() {
		for _, m := range w.nodes {
			m.kill()
		}
	})
}

// boot starts a node's agent.
func (w *world) boot(name string) *machine {
	m := &machine{
		world: w, name: name, mac: neighbor.MAC{2, 0, 0, 0, 0, name[len(name)-1] - '0'},
		ended: make(chan struct{}), watch: make(chan input, 10000), known: map[string]bool{},
	}
	log := logr.Discard()
	if testing.Verbose() {
		log = testr.New(w.t).WithName(name)
	}
	m.loop = newLoop(election.Defaults(name), m, Options{Node: name, Installation: "this one", Incarnation: name, Log: log})
	m.loop.now = w.segment.Clock
	m.loop.ports.make, m.loop.ports.key = m.plug, w.key
	m.loop.report, m.loop.publics, m.loop.events = m, factsOf{m}, m
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	w.mu.Lock()
	w.nodes[name] = m
	w.list(m)
	w.mu.Unlock()
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = m.loop.Run(ctx) })
	tasks.Go(func() { m.beat(ctx) })
	tasks.Go(func() { m.pump(ctx) })
	go func() {
		tasks.Wait()
		close(m.ended)
	}()
	time.Sleep(w.linksTake)
	m.link(m.eth0())
	return m
}

// kill ends the agent as a crash does.
func (m *machine) kill() {
	m.stop()
	<-m.ended
}

// plug makes a port of the node, whose sockets fail if they are made to.
func (m *machine) plug(c wire.Config) (port, error) {
	changed := c.Changed
	var p *wiretest.Port
	c.Changed = func(s wire.State) {
		changed(s)
		m.mu.Lock()
		err := m.portErr
		m.mu.Unlock()
		if s.Up && err != nil {
			p.Fail(err)
		}
	}
	p = m.world.segment.Plug(c)
	m.world.plugged(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ports = append(m.ports, p)
	return p, nil
}

// plugged keeps a new port from the others if the agents are isolated.
func (w *world) plugged(p *wiretest.Port) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.agents {
		if w.isolated {
			w.segment.Cut(o, p)
		}
	}
	w.agents = append(w.agents, p)
}

// failPorts has the node's sockets fail, or with nil work again.
func (m *machine) failPorts(err error) {
	m.mu.Lock()
	m.portErr = err
	ports := slices.Clone(m.ports)
	m.mu.Unlock()
	for _, p := range ports {
		if p.Table().Len() > 0 { // is still in use
			p.Fail(err)
		}
	}
}

func (m *machine) eth0() link.Interface {
	last := m.mac[5]
	return link.Interface{
		Name: "eth0", Index: 2, MAC: m.mac, MTU: 1500,
		Prefixes:  []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24), netip.MustParsePrefix(fmt.Sprintf("2001:db8::%d/64", last))},
		IPv4:      netip.AddrFrom4([4]byte{192, 0, 2, last}),
		Gateways4: []netip.Addr{netip.MustParseAddr(gateway4)}, Gateways6: []netip.Addr{netip.MustParseAddr(gateway6)},
		LinkLocal: netip.MustParseAddr(fmt.Sprintf("fe80::%d", last)),
	}
}

// link sets the node's interfaces.
func (m *machine) link(is ...link.Interface) {
	m.loop.put(linksChanged{links: link.Snapshot{Interfaces: is}})
}

// cutAPI cuts the node from the API; heal connects it again, and its watch lists anew.
func (m *machine) cutAPI() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = true
}

func (m *machine) heal() {
	m.mu.Lock()
	m.cut = false
	m.mu.Unlock()
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.world.list(m)
}

func (m *machine) away() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return errors.New("the API server is away")
	}
	return nil
}

// pump carries what the watches bring.
func (m *machine) pump(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case in := <-m.watch:
			time.Sleep(latency)
			m.loop.put(in)
		}
	}
}

// beat writes the heartbeat.
func (m *machine) beat(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		if m.away() == nil {
			m.writeBeat()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Leave marks the node as leaving.
func (m *machine) Leave(context.Context) error {
	m.mu.Lock()
	m.leaving = true
	m.mu.Unlock()
	m.writeBeat()
	return nil
}

type factsOf struct{ *machine }

// put writes the node's facts.
func (f factsOf) put(facts v1alpha1.Facts) {
	text, err := facts.Encode()
	if err != nil {
		panic(err)
	}
	f.world.write(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name:        v1alpha1.FactsLease(f.name),
			Labels:      map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchFacts},
			Annotations: map[string]string{v1alpha1.AnnotationFacts: text},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &f.name},
	})
}

// put writes a status.
func (m *machine) put(key types.NamespacedName, rep report) {
	m.mu.Lock()
	poisoned := m.poisoned
	m.poisoned = false
	m.reports++
	m.mu.Unlock()
	if poisoned {
		panic("poison")
	}
	w := m.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.announcements[key]; a != nil && a.UID == rep.uid && rep.apply(&a.Status, 1) {
		w.tell(announcementChanged{key: key, announcement: a.DeepCopy()})
	}
}

// found writes what a node found out into a status.
func (m *machine) found(key types.NamespacedName, f finding) {
	w := m.world
	w.mu.Lock()
	defer w.mu.Unlock()
	m.findings++
	a := w.announcements[key]
	if a == nil || !(news{finding: &f}).apply(a) {
		return
	}
	w.tell(announcementChanged{key: key, announcement: a.DeepCopy()})
}

// poison has the loop panic over the next VIP it reports.
func (m *machine) poison() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.poisoned = true
}

func (m *machine) record(e event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
}

// notes gives the Events so far.
func (m *machine) notes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var notes []string
	for _, e := range m.events {
		notes = append(notes, e.reason+": "+e.note)
	}
	return notes
}
