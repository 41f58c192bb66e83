// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/agent/conflict"
	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// probeStep separates the candidates that probe an address while nobody holds the Lease:
	// the n-th waits n steps, so that mostly one of them does it.
	probeStep = 3 * time.Second
	// probeOrphan is how much longer they wait for the holder of the Lease to do it.
	probeOrphan = 15 * time.Second
)

// controlPath is where control addresses are listened for.
type controlPath struct {
	name string
	v6   bool
}

func newConflicts(incarnation string) *conflict.Set {
	id := short("conflicts of " + incarnation)
	return conflict.New(binary.BigEndian.Uint64(id[:]))
}

// clear finds which of the addresses may be spoken for: what was found free, what somebody speaks
// or spoke for, and what was so before.
func (r *reign) clear() {
	was := r.cleared
	r.cleared = map[netip.Addr]bool{}
	if r.announcement == nil {
		return
	}
	for _, s := range r.announcement.Spec.Addresses {
		if addr, err := netip.ParseAddr(s.Address); err == nil && (was[addr] || isCleared(&r.announcement.Status, s.Address)) {
			r.cleared[addr] = true
		}
	}
}

// clearAll takes all addresses of an announcement for used ones.
func (r *reign) clearAll(a *v1alpha1.VIPAnnouncement) {
	for _, s := range a.Spec.Addresses {
		if addr, err := netip.ParseAddr(s.Address); err == nil {
			r.cleared[addr] = true
		}
	}
}

func isCleared(s *v1alpha1.VIPAnnouncementStatus, addr string) bool {
	return slices.Contains(s.Probed, addr) ||
		slices.ContainsFunc(s.Addresses, func(a v1alpha1.SpokenAddress) bool { return a.Address == addr })
}

// find gives what the reign has of an address; nil: nothing.
func (r *reign) find(addr netip.Addr) *carried {
	if i := slices.IndexFunc(r.carried, func(c carried) bool { return c.addr == addr }); i >= 0 {
		return &r.carried[i]
	}
	return nil
}

// statusSeen takes a status that came with nothing else. Most say nothing that matters here.
func (l *loop) statusSeen(r *reign) {
	for _, c := range r.carried {
		if c.held && isCleared(&r.announcement.Status, c.addr.String()) {
			l.stepPolicy(r)
			return
		}
	}
	l.guard(r, func() { l.oversee(r) })
}

// heardSpeaker: an address that a peer speaks for is in use already.
func (l *loop) heardSpeaker(r *reign, h wire.Heard, sameLease bool) {
	if !sameLease || r.used == len(r.carried) || h.Mark.Standing == neighbor.StandingNone ||
		h.Sound != neighbor.HeardAnswer && h.Sound != neighbor.HeardClaim {
		return
	}
	if c := r.find(h.Addr); c != nil && c.held {
		r.cleared[h.Addr] = true
		l.stepPolicy(r)
	}
}

// heardOther hands on what somebody said who is no agent.
func (l *loop) heardOther(h wire.Heard) {
	if h.Marked {
		return
	}
	s := conflict.Sound{Interface: h.Interface, Addr: h.Addr, Card: h.MAC, Node: l.nodeOf[h.MAC]}
	switch h.Sound {
	case neighbor.HeardWitness:
		s.Kind = conflict.Control
		l.heardGateway(h)
	case neighbor.HeardClaim:
		s.Kind = conflict.Claimed
	case neighbor.HeardAnswer:
		s.Kind = conflict.Answered
	case neighbor.HeardProbe:
		s.Kind = conflict.Probed
	default:
		return
	}
	l.conflicts.Heard(l.now(), s)
}

// oversight is what the watch for others that use a reign's addresses depends on.
type oversight struct {
	carried *carried // its first; another after each change
	speaks  bool
	probes  bool
	wait    election.Time // before it probes
	kernels string        // the nodes whose kernel is known to answer
}

// oversee says what is to be probed and what is to be watched, if that is something else than
// before.
func (l *loop) oversee(r *reign) {
	if l.shadow {
		return
	}
	var o oversight
	if r.announcement != nil && len(r.carried) > 0 {
		o.carried = &r.carried[0]
		_, o.speaks = r.state.Voice()
		o.wait, o.probes = l.probeWait(r)
		o.kernels = strings.Join(kernelsOf(r.announcement.Status.Conflicts), " ")
	}
	if o == r.overseen {
		return
	}
	r.overseen = o
	var places []conflict.Place
	for _, c := range r.carried {
		role := conflict.Speak
		if c.held {
			role = conflict.Probe
		}
		if c.held && !o.probes || !c.held && !o.speaks {
			continue
		}
		for _, i := range c.on {
			if l.ports.trouble(i.Name, role == conflict.Speak) == "" { // a flap is over soon
				places = append(places, conflict.Place{
					Addr: c.addr, Interface: i.Name, Role: role, Wait: o.wait, Quick: !c.thorough, Defend: !c.yields,
					Subnet: l.subnet(i.Name, c.addr), Kernels: strings.Fields(o.kernels),
				})
			}
		}
	}
	l.conflicts.Follow(l.now(), r.name, places)
	r.findings.keep(places)
	l.findKernel(r)
	l.tellFindings(r)
}

// overlook forgets what was heard of others.
func (l *loop) overlook(r *reign) {
	l.conflicts.Follow(l.now(), r.name, nil)
	r.overseen, r.findings.others = oversight{}, nil
}

// probeWait tells whether this node probes the addresses that were never used, and how long it
// leaves that to others: to the holder of the Lease, or to candidates that come before it.
func (l *loop) probeWait(r *reign) (wait election.Time, ok bool) {
	spec, holder := &r.announcement.Spec, r.state.Lease().Holder
	if r.used == len(r.carried) || l.leaving || spec.Excluded[l.config.Node] != "" {
		return 0, false
	}
	if holder == l.config.Node {
		return 0, true
	}
	rank := slices.Index(spec.Candidates, l.config.Node)
	if wait = election.Time(rank) * probeStep; holder != "" {
		wait += probeOrphan
	}
	return wait, rank >= 0
}

// subnet is that of an interface which holds an address; invalid if there is none.
func (l *loop) subnet(name string, addr netip.Addr) netip.Prefix {
	for _, p := range l.ports.links[name].Prefixes {
		if p.Contains(addr) {
			return p
		}
	}
	return netip.Prefix{}
}

// settleConflicts carries out what the watch for others wants.
func (l *loop) settleConflicts() {
	for outputs := l.conflicts.Take(); len(outputs) > 0; outputs = l.conflicts.Take() {
		for _, o := range outputs {
			l.settleConflict(o)
		}
	}
}

func (l *loop) settleConflict(o conflict.Output) {
	switch o := o.(type) {
	case conflict.Ask:
		l.askOthers(o)
	case conflict.Listen:
		path := controlPath{o.Interface, o.V6}
		if delete(l.controls, path); len(o.Addrs) > 0 {
			l.controls[path] = o.Addrs
		}
		l.republish()
	case conflict.AskControl:
		if !l.ports.probe(o.Interface, o.Addr, neighbor.Broadcast()) { // no address to ask with
			l.ports.say(o.Interface, o.Addr, []neighbor.MAC{neighbor.Broadcast()}, neighbor.ZeroSender, neighbor.Mark{Kind: neighbor.MarkQuestion})
		}
	case conflict.Defend:
		l.claims = append(l.claims, claimTo{o.Interface, o.Addr, neighbor.Broadcast()})
	case conflict.Cleared:
		if r := l.reigns[o.Lease]; r != nil && r.announcement != nil {
			l.log.V(1).Info("found free", "lease", o.Lease, "address", o.Addr.String())
			r.cleared[o.Addr] = true
			r.findings.probed = append(r.findings.probed, o.Addr.String())
			l.stepPolicy(r)
			l.guard(r, func() { l.putFindings(r) })
		}
	case conflict.Report:
		if r := l.reigns[o.Lease]; r != nil && r.announcement != nil {
			l.guard(r, func() { l.reported(r, o) })
		}
	}
}

// askOthers asks everyone for an address, with a mark: peers know whose question it is. A probe
// shows no address of this node; other questions do, for many proxies answer only those.
func (l *loop) askOthers(o conflict.Ask) {
	r := l.byAddr[o.Addr]
	if r == nil {
		return
	}
	mark := l.markOf(r, neighbor.MarkQuestion)
	mark.Standing = neighbor.Standing(r.state.Standing())
	if i, ok := l.ports.links[o.Interface]; ok && o.Probe && o.Addr.Is6() {
		l.ports.send(o.Interface, conflict.Solicitation(l.ports.self(i), o.Addr, mark))
	}
	form := neighbor.OwnAddress
	if o.Probe {
		form = neighbor.ZeroSender
	}
	l.ports.say(o.Interface, o.Addr, []neighbor.MAC{neighbor.Broadcast()}, form, mark)
}

// reported takes who uses an address besides this node, and tells users of those that are new.
func (l *loop) reported(r *reign, o conflict.Report) {
	f := &r.findings
	at := findingSpot{o.Addr, o.Interface}
	var found []v1alpha1.Conflict
	for _, x := range o.Findings {
		c := v1alpha1.Conflict{
			Address: o.Addr.String(), MAC: x.Card.String(), Reporter: l.config.Node, Interface: o.Interface,
			Node: x.Node, Reason: reasonOf(x.Reason), Since: metav1.Now().Rfc3339Copy(),
		}
		if old, known := f.known(c); known {
			c.Since = old.Since
		} else if of := r.find(o.Addr); of != nil {
			l.strangers.WithLabelValues(c.Reason).Inc()
			l.events.record(conflictEvent(serviceOf(r.announcement), c, *of))
			l.log.Info("address conflict", "lease", r.name, "address", c.Address, "mac", c.MAC, "interface", c.Interface, "reason", c.Reason)
		}
		found = append(found, c)
	}
	if len(found) > 0 { // it was free, it is not
		f.probed = slices.DeleteFunc(f.probed, func(addr string) bool { return addr == o.Addr.String() })
	}
	if f.others == nil {
		f.others = map[findingSpot][]v1alpha1.Conflict{}
	}
	if f.others[at] = found; len(found) == 0 {
		delete(f.others, at)
	}
	l.tellFindings(r)
}

func reasonOf(r conflict.Reason) string {
	switch r {
	case conflict.ProxyAnswers:
		return v1alpha1.ReasonProxyAnswers
	case conflict.OtherAnnouncer:
		return v1alpha1.ReasonOtherAnnouncer
	default:
		return v1alpha1.ReasonForeignHost
	}
}
