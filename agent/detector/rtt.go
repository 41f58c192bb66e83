// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"math/bits"
	"time"
)

// Round trips are counted in buckets, four to each power of two of microseconds, so that a
// bucket's upper end is at most a quarter above any of its values. The last holds all of
// two seconds and more.
const rttBuckets = 4 * 19

// roundTrips holds the round trips of one stream in the present and the last period.
type roundTrips struct {
	start    Time // of the present period
	now, old [rttBuckets]uint32
	n, oldN  uint32
}

func rttBucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0)) + 4
	top := bits.Len64(us) - 1 // at least 2
	return min((top-2)*4+int(us>>(top-2)&3), rttBuckets-1)
}

// rttLimit is the upper end of a bucket.
func rttLimit(i int) time.Duration {
	return time.Duration((i%4+5)<<(i/4)-4) * time.Microsecond
}

func (r *roundTrips) add(now Time, d, half time.Duration) {
	if past := now - r.start; past >= half {
		r.old, r.oldN = r.now, r.n
		if past >= 2*half {
			r.old, r.oldN = [rttBuckets]uint32{}, 0
		}
		r.now, r.n, r.start = [rttBuckets]uint32{}, 0, now
	}
	r.now[rttBucket(d)]++
	r.n++
}

// high gives the 99.9th percentile, the highest one of fewer than a thousand; zero if
// there is none.
func (r *roundTrips) high() time.Duration {
	above := (r.n + r.oldN) / 1000
	if r.n+r.oldN == 0 {
		return 0
	}
	for i := rttBuckets - 1; i >= 0; i-- {
		c := r.now[i] + r.old[i]
		if c > above {
			return rttLimit(i)
		}
		above -= c
	}
	return 0
}

// losses counts a stream's questions of the last minute, in six parts.
type losses struct {
	part [6]struct{ asked, lost uint32 }
	at   int64 // the number of the present part
}

const lossPart = 10 * time.Second

func (l *losses) roll(now Time) int {
	at := int64(now / lossPart)
	n := int64(len(l.part))
	for i := max(l.at+1, at-n+1); i <= at; i++ {
		l.part[i%n] = struct{ asked, lost uint32 }{}
	}
	l.at = max(l.at, at)
	return int(l.at % n)
}

func (l *losses) add(now Time, lost bool) {
	p := &l.part[l.roll(now)]
	p.asked++
	if lost {
		p.lost++
	}
}

// rate gives the lost questions in thousandths of all, or of n if there were fewer.
func (l *losses) rate(now Time, n int) (permille int, known bool) {
	l.roll(now)
	asked, lost := 0, 0
	for _, p := range l.part {
		asked += int(p.asked)
		lost += int(p.lost)
	}
	return lost * 1000 / max(asked, n), asked >= n
}

// budget lets at most rate frames pass in any second: half of them at once, the others
// one by one.
type budget struct{ full Time }

func (b *budget) take(now Time, rate int) bool {
	if rate < 2 {
		return false
	}
	step := 2 * time.Second / time.Duration(rate)
	next := max(b.full, now) + step
	if next-now > time.Second {
		return false
	}
	b.full = next
	return true
}
