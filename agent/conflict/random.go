// SPDX-License-Identifier: Apache-2.0

package conflict

// random is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
// 2014): what is drawn keeps nodes and addresses apart and is no secret.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// between draws a time from low up to, not including, high.
func (r *random) between(low, high Time) Time {
	if high <= low {
		return low
	}
	return low + Time(r.next()%uint64(high-low))
}
