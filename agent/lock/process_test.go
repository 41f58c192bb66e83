// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

const childEnv = "LOCK_TEST_NAME"

// TestMain makes the test's binary an agent of its own when it is started as one.
func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := child(name); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child acquires the lock, says so with the number of voices, and holds it.
func child(name string) error {
	l, err := New(Config{Name: name, Incarnation: "child", Clock: bootClock, Log: logr.Discard()})
	if err != nil {
		return err
	}
	l.Ready()
	i, err := l.Acquire(context.Background())
	if err != nil {
		return err
	}
	n := -1
	if i != nil {
		n = len(i.Voices)
	}
	fmt.Printf("held %d\n", n)
	return l.Run(context.Background())
}

// process is such an agent.
type process struct {
	*exec.Cmd
	lines chan string
}

func spawn(t *testing.T, name string) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: cmd, lines: make(chan string, 8)}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return p
}

func (p *process) says(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-p.lines:
		if !strings.HasPrefix(got, want) {
			t.Fatalf("the process says %q, want %q", got, want)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("the process does not say %q", want)
	}
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	if s != syscall.SIGSTOP {
		return
	}
	eventually(t, "it stands still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		return err == nil && strings.Contains(string(stat), ") T ")
	})
}

// A successor has the lock at once when its holder is killed.
func TestDeath(t *testing.T) {
	var took []time.Duration
	for range 11 {
		name := name(t)
		holder := spawn(t, name)
		holder.says(t, "held -1")
		heir, other := start(t, name, "heir", true), start(t, name, "other", true)
		heir.waits(t)
		begun := bootClock()
		holder.signal(t, syscall.SIGKILL)
		var got *Inheritance
		select {
		case got = <-heir.acquired:
			took = append(took, heir.at-begun)
		case got = <-other.acquired:
			took = append(took, other.at-begun)
		case <-time.After(5 * time.Second):
			t.Fatal("nobody has the lock")
		}
		if got != nil {
			t.Errorf("inherited %+v of a dead process", got)
		}
	}
	slices.Sort(took)
	t.Logf("after a kill the lock is taken in %s (median), %s (worst)", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > 20*time.Millisecond {
		t.Errorf("the lock is taken after %s", took)
	}
}

// A holder that stands still keeps the lock.
func TestHolderStandsStill(t *testing.T) {
	name := name(t)
	holder := spawn(t, name)
	holder.says(t, "held")
	early := start(t, name, "early", true)
	early.waits(t)
	holder.signal(t, syscall.SIGSTOP)
	late := start(t, name, "late", true)
	early.waits(t)
	late.waits(t)
	holder.signal(t, syscall.SIGCONT)
	early.waits(t)
	late.waits(t)
}

// Voices that met a successor that stood still are not taken, and the giver knows it.
func TestSuccessorStandsStill(t *testing.T) {
	name := name(t)
	old := start(t, name, "old", true)
	old.holds(t)
	heir := spawn(t, name)
	eventually(t, "the successor is ready", old.Successor)
	heir.signal(t, syscall.SIGSTOP)
	begun := time.Now()
	if err := old.Bequeath(t.Context(), voices(3)); !errors.Is(err, ErrUnconfirmed) {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(begun); took > 2*giveBound {
		t.Errorf("waited %s", took)
	}
	old.stop()
	// The lock went with the voices: nobody else has it, not even now.
	third := start(t, name, "third", true)
	third.waits(t)
	time.Sleep(fresh)
	heir.signal(t, syscall.SIGCONT)
	heir.says(t, "held 0")
	heir.signal(t, syscall.SIGKILL)
	third.holds(t)
}

// A successor that dies is passed over.
func TestSuccessorDies(t *testing.T) {
	name := name(t)
	old := start(t, name, "old", true)
	old.holds(t)
	first := start(t, name, "first", true)
	eventually(t, "the first is ready", old.Successor)
	dying := spawn(t, name)
	eventually(t, "the other is ready", func() bool {
		old.mu.Lock()
		defer old.mu.Unlock()
		return old.last().incarnation == "child"
	})
	dying.signal(t, syscall.SIGSTOP)
	time.AfterFunc(giveBound/4, func() { _ = dying.Process.Kill() })
	if err := old.Bequeath(t.Context(), voices(3)); err != nil {
		t.Fatal(err)
	}
	if got := first.holds(t); len(got.Voices) != 3 {
		t.Errorf("inherited %+v", got)
	}
}
