// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// take takes one input.
func (l *loop) take(in input) {
	switch in := in.(type) {
	case leaseChanged:
		l.leaseChanged(in)
	case announcementChanged:
		l.announcementChanged(in)
	case linksChanged:
		known := l.linked && l.links.SameLinks(in.links)
		l.links = in.links
		l.setLocals()
		if known {
			return
		}
		l.facts, l.linked = in.links.Facts(l.version), true
		changed := l.ports.update(in.links)
		for _, name := range changed {
			delete(l.gateways, name)
		}
		l.publics.put(l.facts)
		l.relink()
		l.recard()
		l.interrupt(func(r *reign) bool { return r.carriedOn(changed) })
	case beatSent:
		// What is older than a Lease's duration proves nothing any more.
		maps.DeleteFunc(l.sent, func(_ int64, at election.Time) bool { return in.at-at > l.config.LeaseDuration })
		l.sent[in.stamp.UnixMicro()] = in.at
	case answer:
		l.answered(in)
	case peerRead:
		l.peerRead(in)
	case proxySaid:
		l.said(in.ready)
	case voiceHeld:
		l.hold(in)
	case bequest:
		l.bequeath(in)
	case leave:
		l.leaving = true
		for _, name := range slices.Sorted(maps.Keys(l.reigns)) {
			l.step(l.reigns[name], election.Leave{})
		}
	}
}

// leaseChanged takes a Lease from the watch: somebody's facts, the own heartbeat, or that
// of a Service.
func (l *loop) leaseChanged(in leaseChanged) {
	switch r := l.reigns[in.name]; {
	case in.lease == nil && r != nil && r.object != nil:
		l.vanish("lease/"+in.name, nil, len(l.reigns), func() { l.leaseGone(in.name) })
	case in.lease == nil:
		l.leaseGone(in.name)
	case in.lease.Labels[v1alpha1.LabelWatch] == v1alpha1.WatchFacts:
		if f, err := v1alpha1.ParseFacts(in.lease.Annotations[v1alpha1.AnnotationFacts]); err == nil {
			l.setFacts(in.name, peerFacts{Facts: f, node: ptr.Deref(in.lease.Spec.HolderIdentity, ""), object: in.lease})
			l.touch()
		}
	case in.name == v1alpha1.NodeLease(l.config.Node):
		if in.lease.Spec.RenewTime != nil {
			l.echo(*in.lease.Spec.RenewTime)
		}
	case in.lease.Labels[v1alpha1.LabelWatch] == v1alpha1.WatchService:
		l.reappear("lease/" + in.name)
		l.touch()
		r := l.reign(in.name)
		if r.object == nil || r.object.ResourceVersion != in.lease.ResourceVersion {
			r.overtake()
		}
		r.object, r.recalled = in.lease, false
		if r.skipped != nil {
			l.start(r)
		}
		l.choose(r)
		l.step(r, election.LeaseSeen{Lease: lease.FromObject(in.lease)})
	}
}

func (l *loop) leaseGone(name string) {
	if _, ok := l.peers[name]; ok {
		delete(l.peers, name)
		l.recarding = true
	}
	if name == v1alpha1.FactsLease(l.config.Node) && l.linked {
		l.publics.put(l.facts) // the others rely on them
	}
	if r := l.reigns[name]; r != nil {
		l.touch()
		r.object, r.read, r.recalled = nil, nil, false
		l.step(r, election.LeaseGone{})
		l.choose(r)
		l.drop(r)
	}
}

// echo takes an own heartbeat that came back on the stream of Leases.
func (l *loop) echo(stamp metav1.MicroTime) {
	at, ok := l.sent[stamp.UnixMicro()]
	if !ok {
		return // an earlier agent's of this node
	}
	maps.DeleteFunc(l.sent, func(_ int64, sent election.Time) bool { return sent <= at })
	l.heart = l.heart.Echoed(at, l.config.BeatEvery)
	for _, r := range l.reigns {
		l.step(r, election.Pulse{Heart: l.heart})
	}
}

func (l *loop) announcementChanged(in announcementChanged) {
	delete(l.memory.announcements, in.key)
	l.touch()
	if name := "announcement/" + in.key.String(); in.announcement != nil {
		if !l.reappear(name) && l.leaseOf[in.key] == "" {
			l.believed()
		}
		l.reassigned(in.announcement.Spec.Addresses)
	} else if lease, known := l.leaseOf[in.key]; known {
		l.vanish(name, l.reigns[lease].claims[in.key].Spec.Addresses, len(l.leaseOf), func() { l.setAnnouncement(in) })
		return
	}
	l.setAnnouncement(in)
}

// setAnnouncement puts an announcement in its reign, or takes it out.
func (l *loop) setAnnouncement(in announcementChanged) {
	name := ""
	if in.announcement != nil {
		name = in.announcement.Spec.LeaseName
	}
	if old, ok := l.leaseOf[in.key]; ok && old != name {
		delete(l.leaseOf, in.key)
		r := l.reigns[old]
		delete(r.claims, in.key)
		l.choose(r)
		l.drop(r)
	}
	if name == "" {
		return
	}
	l.leaseOf[in.key] = name
	r := l.reign(name)
	r.claims[in.key] = in.announcement
	l.choose(r)
}

// choose has the reign follow the announcement that counts, if that is another or says
// something else than before.
func (l *loop) choose(r *reign) {
	a := r.counts()
	if same(a, r.announcement) {
		if a != r.announcement {
			r.announcement = a
			l.statusSeen(r)
		}
		return
	}
	r.announcement = a
	if r.findings.adopt(a, l.config.Node, l.now()) {
		l.overlook(r)
	}
	if r.skipped != nil {
		l.start(r)
		return
	}
	l.stepPolicy(r)
}

// relink takes the links or the ports as they are now.
func (l *loop) relink() {
	for _, r := range l.reigns {
		l.stepPolicy(r)
	}
}

// stepPolicy tells the election what the announcement and the links say. Before the links
// are known it would read that there are none.
func (l *loop) stepPolicy(r *reign) {
	l.guard(r, func() {
		r.carry(l.facts)
		l.moved, l.proxied.stale = true, true
		l.mark(r)
		switch {
		case r.announcement == nil:
			l.stepNow(r, election.PolicyGone{})
		case l.linked:
			p := r.policy(l.config.Node, l.facts, l.ports.trouble)
			p.Unready = !l.proxied.ready(r.announcement.Spec.HealthCheckNodePort)
			l.stepNow(r, election.PolicySeen{Policy: p})
		}
		l.oversee(r)
	})
}

// answered takes the result of a call. The watch says which Lease there is; reads and
// writes of the same one only show it younger.
func (l *loop) answered(in answer) {
	r := in.to
	if l.reigns[r.name] != r || r.life != in.life {
		return // asked by one that is no more
	}
	known := in.object != nil && r.object != nil && in.object.UID == r.object.UID
	if known {
		r.read = in.object
	}
	switch {
	case in.event != nil:
		l.step(r, in.event)
	case known:
		l.step(r, election.LeaseSeen{Lease: lease.FromObject(in.object)})
	}
}
