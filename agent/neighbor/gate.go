// SPDX-License-Identifier: Apache-2.0

package neighbor

import "time"

const (
	// TickLimit is how long ago the control loop may have ticked: a loop that hangs no
	// longer learns that another node took the address, so its voice ends. It ends before
	// anybody can have taken the silence of a stalled node for its death, which takes
	// three repeats of a question 50 ms apart and the wait for the last.
	TickLimit = 120 * time.Millisecond

	// FrameLimit is how old a frame may be, by the kernel's receive timestamp. What
	// waited longer was received before a stall, by an owner who may be none any more.
	FrameLimit = 100 * time.Millisecond

	// frameSlack is how far in the future a frame may seem to lie, for clocks that
	// differ between CPUs. More means that the wall clock was set back, and the age is
	// unknown.
	frameSlack = time.Millisecond
)

// Gate is what must be known at the moment of speaking. Now, Tick and EchoUntil are
// readings of the boot clock, which also counts a suspended machine's time.
type Gate struct {
	Now time.Duration
	// Tick is when the control loop last ran; zero if it never has.
	Tick time.Duration
	// EchoUntil is when the last heartbeat's echo is no longer proof of anything.
	EchoUntil time.Duration
	// FrameAge is the time since the kernel received the frame; zero for what is said
	// unasked.
	FrameAge time.Duration
	// Rivals is what was heard of higher voices; nil for nothing.
	Rivals Rivalry
}

// Rivalry knows of higher voices; Rivals does.
type Rivalry interface {
	// Outrank tells whether a voice was heard a moment before now that outranks the
	// entry's on this card.
	Outrank(e Entry, card MAC, now time.Duration) bool
}

// stale is whether the frame is too old, or its age unknown.
func (g Gate) stale() bool { return g.FrameAge > FrameLimit || g.FrameAge < -frameSlack }

// admits says why the gate is shut for the entry on this card; DropNone if it is open.
func (g Gate) admits(e Entry, card MAC) Drop {
	switch {
	case !e.Voice || e.Muted:
		return DropNoVoice
	case g.Tick == 0 || g.Now-g.Tick > TickLimit:
		return DropLoopLate
	case g.stale():
		return DropStale
	case e.NeedsEcho && g.Now >= g.EchoUntil:
		return DropNoEcho
	case g.Rivals != nil && g.Rivals.Outrank(e, card, g.Now):
		return DropHigher
	}
	return DropNone
}
