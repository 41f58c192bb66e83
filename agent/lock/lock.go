// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
)

const (
	// retryMin and retryMax bound the pause before a lock that cannot be had is tried
	// again. A holder that dies loses its connections a moment before its socket.
	retryMin = time.Millisecond
	retryMax = 100 * time.Millisecond
	// steady is how long a connection must have lasted for its end to be news.
	steady = time.Second
	// fresh is how old voices may be that are given. Older ones met a receiver that stood
	// still, and others may have taken over.
	fresh = 500 * time.Millisecond
	// sayBound bounds how long it may take to say a line to the holder.
	sayBound = time.Second
	// nameLimit is what sun_path holds (unix(7)), the zero octet in front included.
	nameLimit = 108
)

// Name is the name of an installation's lock: "@" stands for the zero octet of an abstract
// socket.
func Name(installation string) string { return "@arpeggio/" + installation + "/voice" }

// Config is what a Lock needs to know.
type Config struct {
	// Name of the socket, as Name gives it.
	Name string
	// Incarnation tells this process from others, for people.
	Incarnation string
	// Clock is the boot clock, one for all processes of a machine.
	Clock func() time.Duration
	// Successor, if there is one, is called by Run when a ready successor is there for
	// the first time, and when the last one is gone. It must not block, nor call the Lock.
	Successor func(ready bool)
	Log       logr.Logger
}

// Lock is a process's hold, or wish for it, on the lock of a node's voice: Acquire, then Run,
// and in the end Bequeath. Ready, Successor, Blocked and Bequeath may be called from any
// goroutine.
type Lock struct {
	config Config
	once   sync.Once
	ready  chan struct{} // closed by Ready

	mu       sync.Mutex
	listener *net.UnixListener // guarded by mu; nil: not held
	heirs    []*heir           // guarded by mu; in the order in which they came
	told     bool              // guarded by mu; what Config.Successor was told
	blocked  error             // guarded by mu
}

// New gives a lock that is not held.
func New(c Config) (*Lock, error) {
	if len(c.Name) < 2 || c.Name[0] != '@' || len(c.Name) > nameLimit {
		return nil, fmt.Errorf("%q is no name of an abstract socket of at most %d octets", c.Name, nameLimit)
	}
	return &Lock{config: c, ready: make(chan struct{})}, nil
}

// Ready says that this process could speak at once. Before Acquire returns, it makes it a
// successor to which a holder may give its voices.
func (l *Lock) Ready() { l.once.Do(func() { close(l.ready) }) }

// Blocked says why this process is no successor of the lock's holder: ErrForeign, or a holder
// that speaks another version or has too many successors. Nil: the lock is held here, or
// waited for in order. Of the errors, ErrForeign alone is no matter of waiting.
func (l *Lock) Blocked() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocked
}

// Acquire waits until this process holds the lock, and gives what its holder left to it;
// nil: nothing, because there was no holder or it died without a word. An error means that
// ctx ended, or that the kernel gives no such sockets.
func (l *Lock) Acquire(ctx context.Context) (*Inheritance, error) {
	told := ""
	var vain time.Time // since when every connection ended at once; zero: none did
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		listener, err := listen(ctx, l.config.Name)
		if err == nil {
			l.hold(listener)
			return nil, nil //nolint:nilnil // nobody left anything
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("listening on %q: %w", l.config.Name, err)
		}
		begun := time.Now()
		inheritance, listener, err := l.wait(ctx)
		if err == nil {
			l.hold(listener)
			return inheritance, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch {
		case !errors.Is(err, errEnded):
			l.block(err)
		case time.Since(begun) > steady: // a holder that ended
			pause, vain = retryMin, time.Time{}
			l.block(nil)
		case vain.IsZero():
			vain = begun
		case time.Since(vain) > steady:
			l.block(errors.New("its holder refuses every successor"))
		}
		if err := l.Blocked(); err != nil && err.Error() != told {
			told = err.Error()
			l.config.Log.Info("this process is no successor of the lock's holder, trying on", "lock", l.config.Name, "err", told)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// listen takes the lock if nobody holds it.
func listen(ctx context.Context, name string) (*net.UnixListener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "unix", name)
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

func (l *Lock) hold(listener *net.UnixListener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener, l.blocked = listener, nil
}

// block notes why the lock cannot be had.
func (l *Lock) block(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocked = err
}

// errEnded: the holder ended and left nothing to this process.
var errEnded = errors.New("the holder ended")

// wait is a successor's life: it connects to the holder, and waits until that one gives its
// voices, or ends.
func (l *Lock) wait(ctx context.Context) (*Inheritance, *net.UnixListener, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", l.config.Name)
	if err != nil {
		if errors.Is(err, unix.ECONNREFUSED) { // it died this moment, or does not listen yet
			err = errEnded
		}
		return nil, nil, err
	}
	conn := c.(*net.UnixConn)
	defer func() { _ = conn.Close() }()
	if err := sameUser(conn); err != nil {
		return nil, nil, fmt.Errorf("it is held by %w", err)
	}
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(over, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := l.say(conn, said{Incarnation: l.config.Incarnation}); err != nil {
		return nil, nil, errEnded
	}
	l.config.Log.V(1).Info("another agent of this node speaks, waiting", "lock", l.config.Name)
	var talk sync.WaitGroup
	defer talk.Wait()
	defer cancel()
	talk.Go(func() {
		select {
		case <-over.Done():
		case <-l.ready:
			_ = l.say(conn, said{Ready: true}) // a holder that is gone is noticed below
		}
	})
	line, file, err := receive(conn, maxWill)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			err = errEnded
		}
		return nil, nil, err
	}
	inheritance, listener, err := l.inherit(line, file)
	if err != nil {
		return nil, nil, err
	}
	_ = l.say(conn, said{Took: true}) // if the giver does not hear it, it does not speak either
	return inheritance, listener, nil
}

// inherit takes what the holder gave. Voices that are not fresh are left out.
func (l *Lock) inherit(line []byte, file *os.File) (*Inheritance, *net.UnixListener, error) {
	listener, err := listenerOf(file, l.config.Name)
	if err != nil {
		return nil, nil, err
	}
	inheritance, err := parseWill(line)
	if err != nil {
		_ = listener.Close()
		return nil, nil, err
	}
	if age := l.config.Clock() - inheritance.Given; age < 0 || age > fresh {
		l.config.Log.Info("voices that were given too long ago are not taken over", "from", inheritance.From, "age", age)
		inheritance.Voices = nil
	}
	return inheritance, listener, nil
}

// say says a line to the holder.
func (l *Lock) say(conn *net.UnixConn, s said) error {
	s.Version = version
	line, err := encode(s)
	if err != nil {
		return err
	}
	_ = conn.SetWriteDeadline(time.Now().Add(sayBound)) // on an open connection it does not fail
	_, err = conn.Write(line)
	return err
}
