// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// skipFor is how long an object that made the agent panic is left alone, unless it changes.
const skipFor = 30 * time.Second

// guard runs what concerns one reign. A panic there costs no other VIP its voice: the
// reign falls silent and is skipped until one of its objects changes, or for a while.
func (l *loop) guard(r *reign, f func()) {
	if r.skipped != nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			l.skip(r, p)
		}
	}()
	f()
}

func (l *loop) skip(r *reign, why any) {
	l.log.Error(fmt.Errorf("panic: %v", why), "Lease is skipped until it or its VIPAnnouncement changes: please report this",
		"lease", r.name, "stack", string(debug.Stack()))
	l.reset(r)
	until := l.now() + skipFor
	r.skipped = &until
	l.wakes.set(r)
	l.detector.Follow(l.now(), r.name, detector.View{})
	r.seen = part{}
	l.overlook(r)
	l.mark(r)
	if s := r.speech; s != nil && s.at != nil {
		why := "the node's agent failed on this object, see its log"
		l.events.record(withdrawnEvent(s, l.config.Node, why))
		l.report.put(s.key, s.hushReport(v1alpha1.ReasonWithdrawn, l.config.Node, why))
	}
	r.speech = nil
}

// reset gives the reign an election without a past.
func (l *loop) reset(r *reign) {
	r.state, r.skipped = election.State{Config: l.config}, nil
	r.life++
	l.beats.follow(r, nil)
}

// start begins the election of a reign with all that is known.
func (l *loop) start(r *reign) {
	l.reset(r)
	l.step(r, election.Pulse{Heart: l.heart})
	if l.leaving {
		l.step(r, election.Leave{})
	}
	switch {
	case r.recalled:
		l.step(r, election.Recalled{Lease: lease.FromObject(r.object)})
	case r.object != nil:
		l.step(r, election.LeaseSeen{Lease: lease.FromObject(r.object)})
	}
	l.stepPolicy(r)
}

// step steps one election and does what it asks for.
func (l *loop) step(r *reign, ev election.Event) {
	l.guard(r, func() { l.stepNow(r, ev) })
}

func (l *loop) stepNow(r *reign, ev election.Event) {
	if l.shadow {
		return
	}
	before, _ := r.state.Voice()
	was := r.state.Phase()
	needs, muted, standing := r.state.NeedsEcho(), r.state.Muted(), r.state.Standing()
	state, actions := election.Step(r.state, l.now(), ev)
	r.state = state
	if state.Doubted() {
		r.overtake()
	}
	if phase := state.Phase(); phase != was {
		l.log.V(1).Info("election", "lease", r.name, "from", was.String(), "to", phase.String())
	}
	if after, _ := state.Voice(); after != before || state.NeedsEcho() != needs || state.Muted() != muted || state.Standing() != standing {
		l.mark(r)
	}
	l.wakes.set(r)
	l.beats.follow(r, state.Follows())
	l.follow(r)
	l.oversee(r)
	for _, a := range actions {
		l.act(r, a)
	}
}

// mark has the reign's voice published and reported at the end of the turn.
func (l *loop) mark(r *reign) {
	if !r.changed {
		r.changed = true
		l.changed = append(l.changed, r)
	}
}

func (l *loop) act(r *reign, a election.Action) {
	switch a := a.(type) {
	case election.Ask:
		l.ask(r, a)
	case election.ReadLease:
		l.call(r, func(ctx context.Context, send func(*coordinationv1.Lease, election.Event)) {
			got, err := l.readOne(ctx, r.name)
			read := election.LeaseRead{OK: err == nil}
			if got != nil {
				read.Lease = lease.FromObject(got)
			}
			send(got, read)
		})
	case election.Swap:
		l.swap(r, a)
	case election.Farewell:
		l.farewell(r)
	case election.Speak:
		l.speak(r, a)
	case election.Hush:
		l.hush(r, a)
	}
}

// speak notes a new voice. It is told of at the end of the turn, once the tables have it.
func (l *loop) speak(r *reign, a election.Speak) {
	voice, _ := r.state.Voice()
	r.speech = &speech{
		Speak: a, key: client.ObjectKeyFromObject(r.announcement), uid: r.announcement.UID,
		service: serviceOf(r.announcement), when: metav1.Now(),
		began: v1alpha1.NewEpoch(voice.UID, voice.Transitions), epoch: voice,
	}
	l.mark(r)
	l.claimAround(r, a.From)
	l.log.Info("speaks", "lease", r.name, "why", a.Why.String(), "from", a.From, "took", a.Took.String())
}

// hush tells of the end of a voice. The tables follow at the end of the turn.
func (l *loop) hush(r *reign, h election.Hush) {
	l.mark(r)
	l.log.Info("silent", "lease", r.name, "why", h.Reason(), "to", h.To)
	s := r.speech
	r.speech = nil
	if s == nil || s.at == nil {
		return // nobody was told that it speaks
	}
	if e, ok := hushEvent(s, l.config.Node, h); ok {
		l.events.record(e)
	}
	if h.To != "" && h.Why != election.Lost {
		return // the next speaker was heard, and reports itself
	}
	reason := v1alpha1.ReasonWithdrawn
	if h.Why == election.CannotServe {
		reason = v1alpha1.ReasonNoInterface
	}
	l.report.put(s.key, s.hushReport(reason, l.config.Node, h.Reason()))
}

// swap writes over the very Lease the election has seen. Where somebody else wrote
// meanwhile, it is read again, as the watch may lag behind.
func (l *loop) swap(r *reign, a election.Swap) {
	seen, overtaken := r.version(a.Lease), r.queue()
	l.call(r, func(ctx context.Context, send func(*coordinationv1.Lease, election.Event)) {
		if seen != nil {
			got, err := l.swapOne(ctx, seen, a, overtaken)
			switch {
			case err == nil:
				send(got, election.SwapDone{Attempt: a.Attempt, OK: true, Lease: lease.FromObject(got)})
				return
			case errors.Is(err, errOvertaken):
				send(nil, election.SwapDone{Attempt: a.Attempt, Unsent: true})
				return
			}
			if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				l.complain("writing the Lease", r.name, err)
				send(nil, election.SwapDone{Attempt: a.Attempt})
				return
			}
		}
		send(nil, election.SwapDone{Attempt: a.Attempt, Conflict: true})
		if got, _ := l.readOne(ctx, r.name); got != nil {
			send(got, nil)
		}
	})
}

// readOne waits for its turn and reads.
func (l *loop) readOne(ctx context.Context, name string) (*coordinationv1.Lease, error) {
	if err := l.pace.read(ctx); err != nil {
		return nil, err
	}
	got, err := l.leases.Read(ctx, name)
	l.complain("reading the Lease", name, err)
	return got, err
}

// swapOne waits for its turn and writes, unless the write was overtaken meanwhile.
func (l *loop) swapOne(ctx context.Context, seen *coordinationv1.Lease, a election.Swap, overtaken <-chan struct{}) (*coordinationv1.Lease, error) {
	done, err := l.pace.write(ctx, overtaken)
	if err != nil {
		return nil, err
	}
	defer done()
	return l.leases.Swap(ctx, seen, a.Holder, a.Transitions)
}

// call makes blocking calls in a goroutine of its own; what comes of them are inputs. The
// clients' time-outs bound them. f must not touch the reign, but for its name.
func (l *loop) call(r *reign, f func(ctx context.Context, send func(*coordinationv1.Lease, election.Event))) {
	ctx, life := l.ctx, r.life
	send := func(o *coordinationv1.Lease, ev election.Event) {
		select {
		case l.in <- answer{to: r, life: life, object: o, event: ev}:
		case <-ctx.Done():
		}
	}
	l.calls.Go(func() { f(ctx, send) })
}

func (l *loop) complain(what, name string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		l.log.Info(what+" failed", "lease", name, "err", err.Error())
	}
}
