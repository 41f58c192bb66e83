// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// tickEvery is how often the loop shows that it lives; the gate wants less than
	// neighbor.TickLimit.
	tickEvery = 50 * time.Millisecond
	// batch is how many inputs are taken before tables are published.
	batch = 256
)

// leases reads and writes Leases; the calls block and are made from goroutines.
type leases interface {
	Read(ctx context.Context, name string) (election.Lease, error)
	Swap(ctx context.Context, seen *coordinationv1.Lease, expect election.Lease, holder string, transitions int32) (election.Lease, error)
	ReadBeat(ctx context.Context, node string) (lease.Beat, error)
}

// loop owns all state of the agent; only its goroutine touches the fields below in.
type loop struct {
	config  election.Config
	leases  leases
	ports   *ports
	report  *reporter
	publics *factsWriter
	events  recorder
	log     logr.Logger
	version string
	pulse   *wire.Pulse
	sounds  chan wire.Heard
	in      chan input
	gone    chan struct{} // closed once leaving is done
	done    chan struct{} // closed once the loop has ended

	ctx     context.Context // of the calls made for actions
	reigns  map[string]*reign
	byAddr  map[netip.Addr]*reign
	facts   v1alpha1.Facts
	peers   map[string]v1alpha1.Facts // by node, for their cards
	follows map[string]*follow
	sent    map[int64]election.Time // heartbeats under way, by their stamp
	heart   election.Heart
	leaving bool
	dirty   bool // tables are to be published
	look    bool // the heartbeats to follow may be others
}

// follow is another node's heartbeat while elections want it read.
type follow struct {
	due     election.Time
	reading bool
}

func newLoop(config election.Config, store leases, o Options) *loop {
	l := &loop{
		config: config, leases: store, log: o.Log,
		pulse: &wire.Pulse{}, sounds: make(chan wire.Heard, inputs), in: make(chan input, inputs), gone: make(chan struct{}), done: make(chan struct{}),
		reigns: map[string]*reign{}, byAddr: map[netip.Addr]*reign{},
		version: o.Version, peers: map[string]v1alpha1.Facts{},
		follows: map[string]*follow{}, sent: map[int64]election.Time{},
	}
	l.ports = newPorts(o, l.pulse, l.sounds)
	return l
}

// beatSent is told of every heartbeat before it is written.
func (l *loop) beatSent(stamp metav1.MicroTime, at election.Time) {
	l.put(beatSent{stamp: stamp, at: at})
}

// put hands an input to the loop; it waits when the loop is behind.
func (l *loop) put(in input) {
	select {
	case l.in <- in:
	case <-l.done:
	}
}

// String names the task.
func (l *loop) String() string { return "election loop" }

// Run is the loop.
func (l *loop) Run(ctx context.Context) error {
	l.ctx = ctx
	defer close(l.done)
	defer l.ports.close()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-l.in:
			l.take(in)
			for range min(len(l.in), batch) {
				l.take(<-l.in)
			}
		case h := <-l.sounds:
			l.heard(h)
			for range min(len(l.sounds), batch) {
				l.heard(<-l.sounds)
			}
		case <-tick.C:
			l.look = true
		case <-timer.C:
		}
		now := bootTime()
		l.stepDue(now)
		l.publish()
		if l.look {
			l.look = false
			l.readPeers(now)
		}
		l.pulse.Tick(bootTime())
		if l.leaving && l.silent() {
			l.leaving = false
			close(l.gone)
		}
		timer.Reset(max(0, l.wake()-bootTime()))
	}
}

func (l *loop) take(in input) {
	switch in := in.(type) {
	case leaseChanged:
		l.leaseChanged(in)
	case announcementChanged:
		l.announcementChanged(in)
	case linksChanged:
		l.linksChanged(in)
	case beatSent:
		l.sent[in.stamp.UnixMicro()] = in.at
	case result:
		if r := l.reigns[in.lease]; r != nil {
			l.step(r, in.event)
		}
	case peerRead:
		l.peerRead(in)
	case leave:
		l.leaving = true
		for _, name := range slices.Sorted(maps.Keys(l.reigns)) {
			l.step(l.reigns[name], election.Leave{})
		}
	}
}

func (l *loop) leaseChanged(in leaseChanged) {
	node := l.config.Node
	if in.lease != nil && in.lease.Labels[v1alpha1.LabelWatch] == v1alpha1.WatchFacts {
		if holder := in.lease.Spec.HolderIdentity; holder != nil {
			if f, err := v1alpha1.ParseFacts(in.lease.Annotations[v1alpha1.AnnotationFacts]); err == nil {
				l.peers[*holder] = f
			}
		}
		return
	}
	if in.name == v1alpha1.NodeLease(node) {
		if in.lease != nil && in.lease.Spec.RenewTime != nil {
			l.echo(*in.lease.Spec.RenewTime)
		}
		return
	}
	if in.lease != nil && in.lease.Labels[v1alpha1.LabelWatch] != v1alpha1.WatchService {
		return
	}
	r := l.reign(in.name)
	r.object = in.lease
	if in.lease == nil {
		l.step(r, election.LeaseGone{})
		l.drop(r)
		return
	}
	l.step(r, election.LeaseSeen{Lease: lease.FromObject(in.lease)})
}

// echo takes an own heartbeat that came back on the stream of Leases.
func (l *loop) echo(stamp metav1.MicroTime) {
	at, ok := l.sent[stamp.UnixMicro()]
	if !ok {
		return // an earlier agent's of this node
	}
	maps.DeleteFunc(l.sent, func(_ int64, sent election.Time) bool { return sent <= at })
	l.heart = l.heart.Echoed(at, l.config.BeatEvery)
	l.pulse.EchoUntil(l.heart.Until(l.config))
	for _, r := range l.reigns {
		l.step(r, election.Pulse{Heart: l.heart})
	}
}

func (l *loop) announcementChanged(in announcementChanged) {
	for _, r := range l.reigns { // the Lease of an announcement may change its name
		if r.announcement != nil && r.key == in.key && (in.announcement == nil || in.announcement.Spec.LeaseName != r.name) {
			l.dirty = true
			r.announcement = nil
			l.step(r, election.PolicyGone{})
			l.drop(r)
		}
	}
	if in.announcement == nil {
		return
	}
	r := l.reign(in.announcement.Spec.LeaseName)
	r.key, r.announcement = in.key, in.announcement
	l.dirty = true
	l.step(r, election.PolicySeen{Policy: r.policy(l.config.Node, l.facts)})
}

func (l *loop) linksChanged(in linksChanged) {
	l.facts = in.links.Facts(l.version)
	l.ports.update(in.links)
	l.dirty = true
	l.publics.put(l.facts)
	for _, r := range l.reigns {
		if r.announcement != nil {
			l.step(r, election.PolicySeen{Policy: r.policy(l.config.Node, l.facts)})
		}
	}
}

// heard takes a marked answer or claim of another card. Who speaks without a mark is no
// agent: its voice neither keeps a Lease nor ends one.
func (l *loop) heard(h wire.Heard) {
	if !h.Marked || (h.Sound != neighbor.HeardAnswer && h.Sound != neighbor.HeardClaim) || l.ports.own(h.MAC) {
		return
	}
	if r := l.byAddr[h.Addr]; r != nil {
		l.step(r, election.Heard{Voice: r.voice(h.Heard)})
	}
}

// reign finds or makes the reign of a Lease.
func (l *loop) reign(name string) *reign {
	r := l.reigns[name]
	if r == nil {
		r = newReign(name, l.config)
		l.reigns[name] = r
		l.step(r, election.Pulse{Heart: l.heart})
		if l.leaving {
			l.step(r, election.Leave{})
		}
	}
	return r
}

func (l *loop) drop(r *reign) {
	if r.empty() {
		delete(l.reigns, r.name)
	}
}

// stepDue gives a Tick to every election that wanted one by now.
func (l *loop) stepDue(now election.Time) {
	for _, r := range l.reigns {
		if r.state.Wake() <= now {
			l.step(r, election.Tick{})
		}
	}
}

// wake is when the loop has something to do at the latest.
func (l *loop) wake() election.Time {
	w := bootTime() + tickEvery
	for _, r := range l.reigns {
		w = min(w, r.state.Wake())
	}
	return w
}

// silent tells whether no election has a voice or a handover under way.
func (l *loop) silent() bool {
	for _, r := range l.reigns {
		if _, speaks := r.state.Voice(); speaks || r.state.Phase() == election.Giving {
			return false
		}
	}
	return true
}
