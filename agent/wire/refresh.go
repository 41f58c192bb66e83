// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"iter"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// Switches forget the port of a card that is silent for some minutes (300 s by default, IEEE
// 802.1D) and flood its frames then. One voice of the card is announced in this time, whatever
// their number, each in turn; not all nodes at once.
const (
	refreshLeast = 45 * time.Second
	refreshMost  = 75 * time.Second
)

// nextVoice gives the voice that follows the last one in the order of addresses, or the first of
// all; the zero Addr if there is none.
func nextVoice(entries iter.Seq[neighbor.Entry], last netip.Addr) netip.Addr {
	var first, next netip.Addr
	for e := range entries {
		if !e.Voice || e.Muted {
			continue
		}
		if !first.IsValid() || e.Addr.Less(first) {
			first = e.Addr
		}
		if last.Less(e.Addr) && (!next.IsValid() || e.Addr.Less(next)) {
			next = e.Addr
		}
	}
	if next.IsValid() {
		return next
	}
	return first
}

// refresh claims one voice after the other, slowly, until the context ends.
func refresh(ctx context.Context, voices func() iter.Seq[neighbor.Entry], claim func(netip.Addr)) error {
	var last netip.Addr
	for {
		select {
		case <-ctx.Done():
			return nil
		// #nosec G404 -- nothing depends on nobody knowing when
		case <-time.After(refreshLeast + rand.N(refreshMost-refreshLeast)):
		}
		if last = nextVoice(voices(), last); last.IsValid() {
			claim(last)
		}
	}
}
