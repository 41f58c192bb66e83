// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func voices(es ...neighbor.Entry) func() iter.Seq[neighbor.Entry] {
	t := neighbor.NewTable(neighbor.Self{}, es)
	return t.All
}

func TestVoicesAreRefreshedInTurn(t *testing.T) {
	a := many(4)
	es := []neighbor.Entry{
		{Addr: a[3], Voice: true}, {Addr: a[0], Voice: true}, {Addr: a[1]}, {Addr: a[2], Voice: true, Muted: true},
		{Addr: one6, Voice: true}, {Addr: one4, Witness: true},
	}
	var got []netip.Addr
	var last netip.Addr
	for range 5 {
		last = nextVoice(voices(es...)(), last)
		got = append(got, last)
	}
	if diff := cmp.Diff([]string{"10.0.0.0", "10.0.0.3", "2001:db8::f0", "10.0.0.0", "10.0.0.3"}, text(got)); diff != "" {
		t.Error(diff)
	}
	// One that went is not missed.
	if next := nextVoice(voices(es[0])(), a[0]); next != a[3] {
		t.Errorf("after %v comes %v", a[0], next)
	}
	if none := nextVoice(voices(es[2])(), a[0]); none.IsValid() {
		t.Errorf("%v without a voice", none)
	}
}

func text(addrs []netip.Addr) (s []string) {
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return s
}

// One voice of a card a minute, whatever their number; two cards fall out of step.
func TestRefreshIsSlowAndJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var es []neighbor.Entry
		for _, a := range many(1000) {
			es = append(es, neighbor.Entry{Addr: a, Voice: true})
		}
		var at [2][]time.Duration
		start := time.Now()
		done := make(chan error)
		for card := range at {
			go func() {
				done <- refresh(ctx, voices(es...), func(netip.Addr) { at[card] = append(at[card], time.Since(start)) })
			}()
		}
		for range at {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		for card, times := range at {
			for i, d := range times {
				if i > 0 {
					d -= times[i-1]
				}
				if d < refreshLeast || d > refreshMost {
					t.Errorf("card %d: %v between two", card, d)
				}
			}
			if n := len(times); n < 48 || n > 80 {
				t.Errorf("card %d: %d in an hour", card, n)
			}
		}
		if slices.Equal(at[0], at[1]) {
			t.Error("two cards refresh in step")
		}
	})
}
