// SPDX-License-Identifier: Apache-2.0

package election

import "time"

// Heart follows this node's own heartbeats: written to the API and come back on the watch
// that also carries the Leases. What came back proves that this node's view of the Leases
// is as young as the heartbeat.
type Heart struct {
	since Time // the first heartbeat of the unbroken run
	last  Time // when the youngest one that came back was sent
	beats bool
}

// Echoed takes note of a heartbeat that came back; sent is when it was sent. The run
// breaks where one is missing, that is, where two lie more than one and a half intervals
// apart.
func (h Heart) Echoed(sent Time, every time.Duration) Heart {
	if !h.beats || sent-h.last > every+every/2 {
		h.since = sent
	}
	h.last, h.beats = sent, true
	return h
}

// Last is when the youngest heartbeat was sent that came back; zero: none did.
func (h Heart) Last() Time { return h.last }

// LiveSince tells since when all heartbeats came back; ok is false while the youngest is
// older than two intervals.
func (h Heart) LiveSince(now Time, every time.Duration) (since Time, ok bool) {
	return h.since, h.beats && now-h.last <= 2*every
}

// Until is when the right to speak ends that the heartbeats give.
func (h Heart) Until(c Config) Time {
	if !h.beats {
		return 0
	}
	return h.last + c.LeaseDuration - c.Margin
}
