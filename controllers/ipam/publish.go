// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"cmp"
	"slices"
	"time"
)

const (
	// ProbeWait is how long an address is not shown while no node is there that could probe
	// it; and how long what a Service showed before stays in its place.
	ProbeWait = 10 * time.Second
	// togetherWait is how long after it was claimed the last address of a Service is waited
	// for, so that all are shown by one write; and how near the end of ProbeWait.
	togetherWait = 3 * time.Second
)

// Found is what is known of an address that a Service has.
type Found struct {
	// Created is when it was claimed, in Unix seconds.
	Created int64
	// Shown: the Service shows it already, whoever wrote it there.
	Shown bool
	// Free: a node found that nobody else uses it (RFC 5227 section 2.1), or speaks or spoke
	// for it.
	Free bool
	// Prober: a node is there that could probe it.
	Prober bool
}

// Publication says what a Service shows for one of its addresses.
type Publication uint8

// The publications.
const (
	// Withhold: nothing.
	Withhold Publication = iota
	// Hold: what it shows of that family already.
	Hold
	// Show: the address.
	Show
)

// Publish decides what a Service shows of the addresses it has: one is shown once it is known
// that no other host uses it, so that nobody tells others of an address that is replaced a
// second later. One that was shown once stays shown, whatever is known of it. again is after
// what time to ask again if nothing changes before; zero: there is no need to. now is in Unix
// seconds.
func Publish(found []Found, now int64) (what []Publication, again time.Duration) {
	var wait time.Duration // until it is useless to wait for others
	ask := func(in time.Duration) {
		if again == 0 || in < again {
			again = in
		}
	}
	what = make([]Publication, len(found))
	for i, f := range found {
		left := f.left(ProbeWait, now)
		switch {
		case f.Shown || f.Free || !f.Prober && left == 0:
			what[i] = Show
		case left > 0:
			what[i] = Hold
			wait = max(wait, f.left(togetherWait, now))
			if !f.Prober && left <= togetherWait {
				wait = max(wait, left)
			}
			ask(left)
		default:
			ask(ProbeWait) // the node that could probe it may go
		}
	}
	if wait == 0 {
		return what, again
	}
	for i, f := range found {
		if what[i] == Show && !f.Shown {
			what[i] = Hold
			ask(wait)
		}
	}
	return what, again
}

// left is how much of a time since the claim is left. The claim's time is the API server's: if
// it is further ahead of this clock than the wait is long, nothing is known of when it was.
func (f Found) left(of time.Duration, now int64) time.Duration {
	passed := time.Duration(now-f.Created) * time.Second
	if passed < -ProbeWait || passed > of {
		return 0
	}
	return min(of-passed, of)
}

// Order sorts claims of a Service so that of each family the one comes first that Decide keeps:
// what it asks for, and of that what it shows.
func Order(r Request, pools Pools, claims []Claim) []Claim {
	q := &question{Request: r, pools: pools}
	readable := q.readAddresses() == nil
	rank := func(c Claim) int {
		if readable && !q.fits(FamilyOf(c.Address), c) {
			return 1
		}
		return 0
	}
	sorted := slices.Clone(claims)
	slices.SortStableFunc(sorted, func(a, b Claim) int {
		return cmp.Or(rank(a)-rank(b), q.rankShown(a.Address)-q.rankShown(b.Address))
	})
	return sorted
}
