// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// step steps one election and does what it asks for.
func (l *loop) step(r *reign, ev election.Event) {
	before, had := r.state.Voice()
	state, actions := election.Step(r.state, bootTime(), ev)
	if phase := state.Phase(); phase != r.state.Phase() {
		l.look = true
		l.log.V(1).Info("election", "lease", r.name, "from", r.state.Phase().String(), "to", phase.String())
	}
	r.state = state
	if after, has := r.state.Voice(); has != had || after != before {
		l.dirty = true
	}
	for _, a := range actions {
		l.act(r, a)
	}
}

func (l *loop) act(r *reign, a election.Action) {
	switch a := a.(type) {
	case election.Ask:
		l.ask(r, a)
	case election.ReadLease:
		l.call(r, func(ctx context.Context) election.Event {
			got, err := l.leases.Read(ctx, r.name)
			l.complain("reading the Lease", r.name, err)
			return election.LeaseRead{Lease: got, OK: err == nil}
		})
	case election.Swap:
		l.swap(r, a)
	case election.Speak:
		r.speak, r.when = &a, metav1.Now()
		l.log.Info("speaks", "lease", r.name, "why", a.Why.String(), "from", a.From, "took", a.Took.String())
	case election.Hush:
		l.log.Info("silent", "lease", r.name, "why", a.Why.String(), "to", a.To)
		l.hush(r, a)
	}
}

// hush reports the end of a voice. The tables follow at the end of the loop's turn.
func (l *loop) hush(r *reign, h election.Hush) {
	if r.announcement != nil && r.speak != nil {
		if len(r.at) > 0 {
			eventHush(l.events, r.service(), l.config.Node, r.at, h)
		}
		epoch := r.state.Lease()
		l.report.put(r.key, report{
			epoch: v1alpha1.NewEpoch(epoch.UID, epoch.Transitions), hush: &h,
		})
	}
	r.speak, r.at = nil, nil
}

func (l *loop) swap(r *reign, a election.Swap) {
	seen := r.object
	l.call(r, func(ctx context.Context) election.Event {
		done := election.SwapDone{Attempt: a.Attempt}
		if seen == nil {
			return done
		}
		got, err := l.leases.Swap(ctx, seen, a.Lease, a.Holder, a.Transitions)
		if !apierrors.IsConflict(err) {
			l.complain("writing the Lease", r.name, err)
		}
		done.OK, done.Lease = err == nil, got
		return done
	})
}

// call makes a blocking call in a goroutine of its own; its event comes back as an input.
// The clients' time-outs bound it.
func (l *loop) call(r *reign, f func(context.Context) election.Event) {
	name, ctx := r.name, l.ctx
	go func() {
		ev := f(ctx)
		select {
		case l.in <- result{lease: name, event: ev}:
		case <-ctx.Done():
		}
	}()
}

func (l *loop) complain(what, name string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		l.log.Info(what+" failed", "lease", name, "err", err.Error())
	}
}

// ask puts a question for every address on every port that carries it, by broadcast and
// to the node's cards.
func (l *loop) ask(r *reign, a election.Ask) {
	if r.announcement == nil {
		return
	}
	lease := r.state.Lease()
	mark := neighbor.Mark{
		Kind: neighbor.MarkQuestion, LeaseUID: leaseID(lease.UID), Transitions: uint32(lease.Transitions),
		Nonce: uint32(bootTime() / time.Microsecond),
	}
	for _, addr := range addresses(r.announcement) {
		var cards []neighbor.MAC
		if !a.Quiet {
			cards = append(cards, neighbor.Broadcast())
		}
		for _, i := range l.peers[a.Node].Choose(addr, r.announcement.Spec.Interfaces) {
			if mac, err := net.ParseMAC(i.MAC); err == nil && len(mac) == len(neighbor.MAC{}) {
				cards = append(cards, neighbor.MAC(mac))
			}
		}
		for _, i := range l.facts.Choose(addr, r.announcement.Spec.Interfaces) {
			l.ports.ask(i.Name, addr, cards, mark)
		}
	}
}

// publish brings tables and reports in line with the elections, if one has changed.
func (l *loop) publish() {
	if !l.dirty {
		return
	}
	l.dirty = false
	tables := map[string][]neighbor.Entry{}
	clear(l.byAddr)
	for _, r := range l.reigns {
		if r.announcement == nil {
			continue
		}
		for _, addr := range addresses(r.announcement) {
			l.byAddr[addr] = r
			for _, i := range l.facts.Choose(addr, r.announcement.Spec.Interfaces) {
				tables[i.Name] = append(tables[i.Name], r.entry(addr))
			}
		}
	}
	l.ports.publish(l.ctx, tables)
	for _, r := range l.reigns {
		l.reportVoice(r)
	}
}

// reportVoice tells users of a voice that is new or has other cards than before.
func (l *loop) reportVoice(r *reign) {
	voice, speaks := r.state.Voice()
	if !speaks || r.speak == nil || r.announcement == nil {
		return
	}
	at := l.spoken(r.announcement)
	if len(at) == 0 {
		return
	}
	first := r.at == nil
	if !first && slices.Equal(r.at, at) {
		return
	}
	r.at = at
	if first {
		eventSpeak(l.events, r.service(), l.config.Node, at, *r.speak)
	}
	l.report.put(r.key, report{
		epoch: v1alpha1.NewEpoch(voice.UID, voice.Transitions), count: voice.Transitions,
		at: at, speak: r.speak, when: r.when,
	})
}

func (l *loop) spoken(a *v1alpha1.VIPAnnouncement) []v1alpha1.SpokenAddress {
	var out []v1alpha1.SpokenAddress
	for _, addr := range addresses(a) {
		for _, i := range l.facts.Choose(addr, a.Spec.Interfaces) {
			out = append(out, v1alpha1.SpokenAddress{Address: addr.String(), Interface: i.Name, MAC: i.MAC})
		}
	}
	return out
}

// readPeers reads the heartbeats that are due, one request a node, and plans the next.
func (l *loop) readPeers(now election.Time) {
	wanted := map[string]time.Duration{}
	for _, r := range l.reigns {
		for _, f := range r.state.Follows() {
			if every, ok := wanted[f.Node]; !ok || f.Every < every {
				wanted[f.Node] = f.Every
			}
		}
	}
	for node := range l.follows {
		if _, ok := wanted[node]; !ok && !l.follows[node].reading {
			delete(l.follows, node)
		}
	}
	for node, every := range wanted {
		f := l.follows[node]
		if f == nil {
			f = &follow{due: now}
			l.follows[node] = f
		}
		f.due = min(f.due, now+every)
		if f.reading || now < f.due {
			continue
		}
		f.reading, f.due = true, now+max(every, l.config.LookFor)
		go l.readPeer(l.ctx, node)
	}
}

func (l *loop) readPeer(ctx context.Context, node string) {
	asked := bootTime()
	b, err := l.leases.ReadBeat(ctx, node)
	in := peerRead{ok: err == nil, beat: election.PeerBeat{
		Node: node, Asked: asked, Came: bootTime(), Seen: b.Seen, Leaving: b.Leaving,
	}}
	select {
	case l.in <- in:
	case <-ctx.Done():
	}
}

func (l *loop) peerRead(in peerRead) {
	if f := l.follows[in.beat.Node]; f != nil {
		f.reading = false
	}
	if !in.ok {
		return
	}
	for _, r := range l.reigns {
		l.step(r, in.beat)
	}
}
