// SPDX-License-Identifier: Apache-2.0

package sight

import "time"

// crowd is a number of things, each of them well or not.
type crowd struct {
	well   map[string]bool
	turned map[string]time.Duration // when those turned that were well and are not
	fit    int                      // how many are well
}

func newCrowd() crowd {
	return crowd{well: map[string]bool{}, turned: map[string]time.Duration{}}
}

// see notes how one is. One that was never well has not turned.
func (c *crowd) see(now time.Duration, name string, well bool) {
	was := c.well[name]
	c.well[name] = well
	switch {
	case well && !was:
		c.fit++
		delete(c.turned, name)
	case was && !well:
		c.fit--
		c.turned[name] = now
	}
}

// forget takes one out.
func (c *crowd) forget(name string) {
	if c.well[name] {
		c.fit--
	}
	delete(c.well, name)
	delete(c.turned, name)
}

// tidy forgets those that are not there and whose turn is so long ago that it never
// counts again.
func (c *crowd) tidy(now time.Duration, there func(string) bool) {
	for name, well := range c.well {
		at, turned := c.turned[name]
		if !well && !there(name) && (!turned || now-at > atOnce+patience) {
			c.forget(name)
		}
	}
}

// lost counts those that turned of late, and of how many: those that were well before.
func (c *crowd) lost(now time.Duration) (lost, of int) { return c.missing(now - atOnce) }

// missing counts those that have turned since and are not well again, and of how many.
func (c *crowd) missing(since time.Duration) (missing, of int) {
	for _, at := range c.turned {
		if at > since {
			missing++
		}
	}
	return missing, c.fit + missing
}

// accept makes what is so the way it is.
func (c *crowd) accept() { clear(c.turned) }
