// SPDX-License-Identifier: Apache-2.0

package mld

// random is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014):
// what is drawn keeps the answers of many hosts apart, and is no secret.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below draws a time from zero up to, not including, the limit.
func (r *random) below(limit Time) Time {
	if limit <= 0 {
		return 0
	}
	return Time(r.next() % uint64(limit))
}

// shuffle puts the groups in an order drawn at random.
func (r *random) shuffle(gs []*group) {
	for i := len(gs) - 1; i > 0; i-- {
		k := int(r.next() % uint64(i+1)) // #nosec G115 -- at most i
		gs[i], gs[k] = gs[k], gs[i]
	}
}
