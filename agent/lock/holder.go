// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// maxHeirs bounds how many successors may wait at a time.
	maxHeirs = 8
	// helloBound is how long a connection may take to say who it is.
	helloBound = time.Second
	// refusePause is the pause after one that is refused, so that whoever comes again and
	// again costs little.
	refusePause = 10 * time.Millisecond
	// giveBound is how long a successor may take to take what it is given. Later it takes
	// no voices.
	giveBound = fresh
)

// ErrNoSuccessor says that no successor is ready: nothing was given.
var ErrNoSuccessor = errors.New("no successor is ready")

// ErrUnconfirmed says that a successor was given the voices and did not say that it took
// them. It may have them, or take them yet: the giver must not speak again.
var ErrUnconfirmed = errors.New("the successor did not say that it took the voices")

// heir is a successor as the holder knows it.
type heir struct {
	conn        *net.UnixConn
	incarnation string
	ready       bool          // guarded by Lock.mu
	took        chan struct{} // closed when it said so
	gone        chan struct{} // closed when the connection is
}

// String names the task.
func (l *Lock) String() string { return "lock of the node's voice" }

// Run serves successors, after Acquire, until ctx ends or the lock is bequeathed. Then it is
// held here no more.
func (l *Lock) Run(ctx context.Context) error {
	l.mu.Lock()
	listener := l.listener
	l.mu.Unlock()
	if listener == nil {
		return errors.New("the lock of the node's voice is not held")
	}
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	defer l.close()
	var talks sync.WaitGroup
	defer talks.Wait()
	defer l.close() // ends the talks
	for failing := ""; ; {
		conn, err := listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil && err.Error() != failing:
			failing = err.Error()
			l.config.Log.Info("accepting a successor failed, trying on", "err", failing)
			fallthrough
		case err != nil:
			sleep(ctx, retryMax)
			continue
		}
		failing = ""
		h := &heir{conn: conn, took: make(chan struct{}), gone: make(chan struct{})}
		if sameUser(conn) != nil || !l.admit(h) {
			_ = conn.Close()
			sleep(ctx, refusePause)
			continue
		}
		talks.Go(func() {
			err := l.attend(h)
			l.config.Log.V(1).Info("a successor is gone", "incarnation", h.incarnation, "err", err.Error())
			l.drop(h)
		})
	}
}

// sleep ends early if ctx does.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// close gives the lock up, and ends all connections.
func (l *Lock) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
	for _, h := range l.heirs {
		_ = h.conn.Close()
	}
}

// admit gives a successor a place, if there is one.
func (l *Lock) admit(h *heir) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil || len(l.heirs) >= maxHeirs {
		return false
	}
	l.heirs = append(l.heirs, h)
	return true
}

// drop ends a successor's wait.
func (l *Lock) drop(h *heir) {
	_ = h.conn.Close()
	l.change(func() {
		if i := slices.Index(l.heirs, h); i >= 0 {
			l.heirs = slices.Delete(l.heirs, i, i+1)
			close(h.gone)
		}
	})
}

// change changes the successors, and tells when that is news.
func (l *Lock) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	if is := l.last() != nil; is != l.told {
		if l.told = is; l.config.Successor != nil {
			l.config.Successor(is)
		}
	}
}

// last is the ready successor that came last; nil: none is. The caller has mu.
func (l *Lock) last() *heir {
	for _, h := range slices.Backward(l.heirs) {
		if h.ready {
			return h
		}
	}
	return nil
}

// attend listens to a successor until it is gone or talks nonsense.
func (l *Lock) attend(h *heir) error {
	_ = h.conn.SetReadDeadline(time.Now().Add(helloBound)) // on an open connection it does not fail
	lines := bufio.NewScanner(h.conn)
	lines.Buffer(make([]byte, 512), maxSaid)
	for n := 0; lines.Scan(); n++ {
		s, err := parseSaid(lines.Bytes())
		switch {
		case err != nil:
			return err
		case n == maxLines:
			return errors.New("it says too much")
		case n == 0:
			h.incarnation = s.Incarnation
			_ = h.conn.SetReadDeadline(time.Time{})
		case s.Ready:
			l.change(func() { h.ready = true })
		case s.Took:
			select {
			case <-h.took:
			default:
				close(h.took)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("it ended")
}

// Successor is whether a successor is there that is ready to speak.
func (l *Lock) Successor() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listener != nil && l.last() != nil
}

// Bequeath gives the voices, and the lock, to the ready successor that came last. The caller
// must have stopped speaking. Without an error, that one speaks now and Run returns. Of the
// errors, ErrUnconfirmed alone forbids to speak on.
func (l *Lock) Bequeath(ctx context.Context, inheritance Inheritance) error {
	inheritance.From = l.config.Incarnation
	for {
		l.mu.Lock()
		h, listener := l.last(), l.listener
		l.mu.Unlock()
		if h == nil || listener == nil {
			return ErrNoSuccessor
		}
		inheritance.Given = l.config.Clock()
		line, err := encode(will{Version: version, Inheritance: inheritance})
		if err != nil {
			return err
		}
		if len(line) > maxWill {
			return fmt.Errorf("%d voices are too many to give", len(inheritance.Voices))
		}
		err = give(ctx, h, line, listener)
		switch {
		case err == nil:
			l.config.Log.Info("the successor on this node speaks now", "incarnation", h.incarnation, "voices", len(inheritance.Voices))
			l.close()
			return nil
		case errors.Is(err, ErrUnconfirmed):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		l.config.Log.Info("a successor could not take the voices", "incarnation", h.incarnation, "err", err.Error())
		l.drop(h)
	}
}

// give gives a line and the lock to one successor, and waits until it took them.
func give(ctx context.Context, h *heir, line []byte, listener *net.UnixListener) error {
	ctx, cancel := context.WithTimeout(ctx, giveBound)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_ = h.conn.SetWriteDeadline(deadline) // on an open connection it does not fail
	if err := send(h.conn, line, listener); err != nil {
		return err
	}
	select {
	case <-h.took:
		return nil
	case <-h.gone:
	case <-ctx.Done():
		return ErrUnconfirmed
	}
	select {
	case <-h.took: // it said so, and ended
		return nil
	default:
		return errors.New("it ended before it took them")
	}
}
