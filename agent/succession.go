// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/lock"
)

// readyEvery is how often a successor looks whether it is ready.
const readyEvery = 20 * time.Millisecond

// succession is the task that waits for the node's voice, and holds it.
type succession struct {
	lock  *lock.Lock
	put   func(input)
	ready func() bool   // this process could speak at once
	held  chan struct{} // closed once the lock is held
}

func newSuccession(o Options, put func(input), now func() election.Time) (*succession, error) {
	l, err := lock.New(lock.Config{
		Name: lock.Name(o.Installation), Incarnation: o.Incarnation, Clock: now, Log: o.Log.WithName("lock"),
	})
	if err != nil {
		return nil, err
	}
	return &succession{lock: l, put: put, held: make(chan struct{})}, nil
}

// String names the task.
func (s *succession) String() string { return s.lock.String() }

// Run waits for the lock and then serves successors, until the context ends or the voices
// are handed on.
func (s *succession) Run(ctx context.Context) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.tellReady(waiting)
	inheritance, err := s.lock.Acquire(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	cancel()
	s.put(voiceHeld{inheritance})
	close(s.held)
	return s.lock.Run(ctx)
}

// tellReady tells the holder when this process is ready to succeed it.
func (s *succession) tellReady(ctx context.Context) {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for !s.ready() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	s.lock.Ready()
}

// isHeld tells whether this process has the node's voice.
func (s *succession) isHeld() bool {
	select {
	case <-s.held:
		return true
	default:
		return false
	}
}

// waits tells whether another process of this node speaks, and this one waits in order. One
// that another user keeps from it is not ready.
func (s *succession) waits() bool {
	return !s.isHeld() && !errors.Is(s.lock.Blocked(), lock.ErrForeign)
}

// after runs a task once the lock is held.
func (s *succession) after(t task) task { return delayed{task: t, until: s.held} }

type delayed struct {
	task

	until <-chan struct{}
}

// Run waits, and runs.
func (d delayed) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.until:
		return d.task.Run(ctx)
	}
}

// handOn gives the voices to a successor on this node, if one is ready; false: there is none,
// and they have to be handed over to other nodes. Both answer for a moment, with the same
// MAC: to the segment there is one voice.
func (s *succession) handOn(ctx context.Context, log logr.Logger) bool {
	if !s.isHeld() {
		return true // nothing was ever spoken here
	}
	if !s.lock.Successor() {
		return false
	}
	reply := make(chan lock.Inheritance, 1)
	s.put(bequest{reply})
	var inheritance lock.Inheritance
	select {
	case <-ctx.Done():
		return false
	case inheritance = <-reply:
	}
	err := s.lock.Bequeath(ctx, inheritance)
	if err != nil {
		log.Info("the voices could not be handed on to this node's next agent", "err", err.Error())
	}
	return err == nil || errors.Is(err, lock.ErrUnconfirmed)
}

// hold begins to speak: until now, the elections were only watched.
func (l *loop) hold(in voiceHeld) {
	l.shadow = false
	inherited := map[string]lock.Voice{}
	if i := in.inheritance; i != nil {
		l.log.Info("goes on for this node's agent before", "incarnation", i.From, "voices", len(i.Voices))
		if i.BeatSent > 0 {
			l.heart = election.Heart{}.Echoed(i.BeatSent, l.config.BeatEvery)
		}
		for _, v := range i.Voices {
			inherited[v.Lease] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.reigns)) {
		r := l.reigns[name]
		v, ok := inherited[name]
		if ok && r.used == 0 && r.announcement != nil {
			r.clearAll(r.announcement) // the status that says so is on its way
		}
		if r.announcement != nil {
			r.findings.begin(r.announcement, l.config.Node, l.now())
		}
		l.start(r)
		if ok {
			l.step(r, election.Inherited{
				Lease:    election.Lease{UID: v.UID, Transitions: v.Transitions},
				Standing: election.Standing(v.Standing),
			})
		}
	}
}

// bequeath lists what is spoken for. A voice that was interrupted has to ask first; the
// successor does so.
func (l *loop) bequeath(in bequest) {
	l.stalled()
	out := lock.Inheritance{BeatSent: l.heart.Last()}
	for _, name := range slices.Sorted(maps.Keys(l.reigns)) {
		r := l.reigns[name]
		if v, ok := r.state.Voice(); ok && r.state.Phase() == election.Speaking && !r.state.Muted() {
			out.Voices = append(out.Voices, lock.Voice{
				Lease: name, UID: v.UID, Transitions: v.Transitions, Standing: uint8(r.state.Standing()),
			})
		}
	}
	in.reply <- out
}
