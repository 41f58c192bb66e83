// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/conflict"
	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/metrics"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// tickEvery is how often the loop shows that it lives; the gate wants less than
	// neighbor.TickLimit.
	tickEvery = 25 * time.Millisecond
	// leastPause keeps an election that always wants to be stepped from taking the CPU.
	leastPause = time.Millisecond
	// batch is how many inputs and how many sounds are taken in one turn.
	batch = 256
	// patience is how long elections whose time has come wait for what others said to be heard
	// first: a thousand claims of another node for instance, when a third one has crashed.
	patience = 250 * time.Millisecond
)

// leases reads and writes Leases; the calls block and are made from goroutines.
type leases interface {
	// Read reads a Lease by quorum; nil: there is none.
	Read(ctx context.Context, name string) (*coordinationv1.Lease, error)
	// Swap writes holder and transitions, if the Lease is still as seen.
	Swap(ctx context.Context, seen *coordinationv1.Lease, holder string, transitions int32) (*coordinationv1.Lease, error)
	ReadBeat(ctx context.Context, node string) (lease.Beat, error)
}

// statuses takes what a status shall say; it does not block.
type statuses interface {
	put(key types.NamespacedName, rep report)
	found(key types.NamespacedName, f finding)
}

// recorder takes an Event to be written; it does not block.
type recorder interface{ record(event) }

// publisher takes this node's facts; it does not block.
type publisher interface{ put(v1alpha1.Facts) }

// loop owns all state of the agent; only its goroutine touches the fields below in.
type loop struct {
	config       election.Config
	leases       leases
	ports        *ports
	report       statuses
	publics      publisher
	events       recorder
	log          logr.Logger
	version      string
	installation string
	now          func() election.Time // the boot clock
	hurry        func()               // has a heartbeat sent; nil: they come when they come
	pulse        *wire.Pulse
	sounds       chan wire.Heard
	in           chan input
	gone         chan struct{} // closed once leaving is done
	done         chan struct{} // closed once the loop has ended

	ctx     context.Context // of the calls made for actions
	calls   sync.WaitGroup
	pace    *pace
	reigns  map[string]*reign
	leaseOf map[types.NamespacedName]string // by announcement, the name of its reign
	byAddr  map[netip.Addr]*reign
	also    map[netip.Addr][]*reign // the others that have an address of byAddr
	wakes   wakes
	peers   map[string]peerFacts    // by facts Lease, for the cards
	nodeOf  map[neighbor.MAC]string // by card
	cards   int                     // counts the changes of cards, own and others'
	stepped election.Time           // when the elections last had their time
	ticked  election.Time           // when the loop last showed that it lives; 0: never

	detector  *detector.Detector
	witnesses map[string][]netip.Addr // by interface

	conflicts *conflict.Set
	strangers *prometheus.CounterVec
	controls  map[controlPath][]netip.Addr           // that are listened for
	gateways  map[string]map[netip.Addr]neighbor.MAC // by interface, as they answered
	links     link.Snapshot                          // as last told
	locals    map[netip.Addr][]link.Local            // of links
	reread    func()                                 // has the links read again; nil: nobody does
	rereadAt  election.Time                          // when, while a kernel answers
	claims    []claimTo                              // to be sent once the tables are published
	vanished  vanished
	proxied   proxied
	keeper    keeper // nil: nothing is kept
	memory    recollection
	beats     beats
	sent      map[int64]election.Time // heartbeats under way, by their stamp
	heart     election.Heart
	facts     v1alpha1.Facts
	linked    bool // facts are known
	shadow    bool // another process of this node has the voice: nothing is decided here
	leaving   bool
	left      bool
	changed   []*reign      // that are to be published anew
	moved     bool          // byAddr is out of date
	recarding bool          // nodeOf, cards and witnesses are out of date
	clash     bool          // an address stands in two reigns
	checkAt   election.Time // when the ports are looked after
	lookAt    election.Time // when it is found whether others hear this node
}

func newLoop(config election.Config, store leases, o Options) *loop {
	l := &loop{
		config: config, leases: store, log: o.Log, version: o.Version, installation: o.Installation, now: wire.Boottime,
		pulse: &wire.Pulse{}, sounds: make(chan wire.Heard, sounds), in: make(chan input, inputs), pace: newPace(),
		gone: make(chan struct{}), done: make(chan struct{}),
		reigns: map[string]*reign{}, leaseOf: map[types.NamespacedName]string{}, byAddr: map[netip.Addr]*reign{}, also: map[netip.Addr][]*reign{},
		peers: map[string]peerFacts{}, nodeOf: map[neighbor.MAC]string{}, beats: beats{}, sent: map[int64]election.Time{},
		detector: detector.New(detector.Defaults()), witnesses: map[string][]netip.Addr{},
		conflicts: newConflicts(o.Incarnation), strangers: metrics.NewStrangers(), controls: map[controlPath][]netip.Addr{},
		gateways: map[string]map[netip.Addr]neighbor.MAC{}, locals: map[netip.Addr][]link.Local{},
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
	defer l.calls.Wait()
	defer close(l.done)
	defer l.ports.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-l.in:
			l.take(in)
		case h := <-l.sounds:
			l.heard(h)
		case <-timer.C:
		}
		l.drain()
		l.stalled()
		timer.Reset(l.turn())
	}
}

// drain takes what waits. The loop shows that it lives only after it: what it has not
// read yet, after a pause for instance, might end a voice.
func (l *loop) drain() {
	for range min(len(l.in), batch) {
		l.take(<-l.in)
	}
	for range min(len(l.sounds), batch) {
		l.heard(<-l.sounds)
	}
}

// turn does what is due, carries the changes out, and tells how long there is nothing
// to do.
func (l *loop) turn() time.Duration {
	now := l.now()
	if now >= l.checkAt {
		l.checkAt = now + tickEvery
		changed, back := l.ports.check(now)
		if changed {
			l.relink()
		}
		if len(back) > 0 {
			l.interrupt(func(r *reign) bool { return r.carriedOn(back) })
		}
	}
	if l.recarding {
		l.recard()
	}
	l.recall(now)
	l.takeVanished(now)
	backlog := len(l.sounds) >= batch || l.ports.waiting() // what waits to be heard is no silence
	if !backlog || now-l.stepped >= patience {
		l.stepped = now
		l.stepDue(now)
	}
	if l.ports.missed() {
		l.detector.Missed(l.now())
	}
	if !backlog {
		l.detector.Tick(l.now())
		l.conflicts.Tick(l.now())
	}
	l.detect()
	l.settleConflicts()
	l.publish()
	more := l.claim()
	l.lookAround(now)
	l.want()
	l.keep()
	next := l.readPeers(now)
	// Last: a gate that opens must find only voices that the elections know of by now.
	l.pulse.EchoUntil(l.heart.Until(l.config))
	l.ticked = l.now()
	l.pulse.Tick(l.ticked)
	if l.leaving && !l.left && l.silent() {
		l.left = true
		close(l.gone)
	}
	if more {
		return leastPause
	}
	return max(leastPause, min(next, l.checkAt, l.wakes.next(), l.detector.Wake(), l.conflicts.Wake())-l.now())
}

// stepDue gives a Tick to every election that wanted one by now.
func (l *loop) stepDue(now election.Time) {
	for _, r := range l.wakes.due(now) {
		if r.skipped != nil {
			l.start(r)
		} else {
			l.step(r, election.Tick{})
		}
	}
}

// silent tells whether no election has a voice, or a write under way that might give it
// one.
func (l *loop) silent() bool {
	for _, r := range l.reigns {
		_, speaks := r.state.Voice()
		if phase := r.state.Phase(); speaks || phase == election.Giving || phase == election.Swapping {
			return false
		}
	}
	return true
}

// reign finds or makes the reign of a Lease.
func (l *loop) reign(name string) *reign {
	r := l.reigns[name]
	if r == nil {
		r = newReign(name)
		l.reigns[name] = r
		l.start(r)
	}
	return r
}

// drop forgets a reign of which nothing is left that could concern this node.
func (l *loop) drop(r *reign) {
	if len(r.claims) == 0 && r.object == nil {
		delete(l.reigns, r.name)
		l.moved = true
		l.beats.follow(r, nil)
		l.wakes.remove(r)
		l.detector.Follow(l.now(), r.name, detector.View{})
		l.conflicts.Follow(l.now(), r.name, nil)
	}
}
