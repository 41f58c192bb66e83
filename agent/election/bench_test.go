// SPDX-License-Identifier: Apache-2.0

package election

import "testing"

// BenchmarkIdle is what an agent does every two seconds for each of its Leases.
func BenchmarkIdle(b *testing.B) {
	for name, holder := range map[string]string{"speaker": "n", "standby": "o"} {
		b.Run(name, func(b *testing.B) {
			c := Defaults("n")
			heart := Heart{}.Echoed(second, c.BeatEvery)
			s, _ := Step(State{Config: c}, second, Pulse{Heart: heart})
			s, _ = Step(s, second, PolicySeen{Policy: policy("n", "o", "q")})
			s, _ = Step(s, second, LeaseSeen{Lease: lease(holder, 3)})
			if holder == "n" {
				s.phase, s.voice = Speaking, s.lease
			}
			now := second
			b.ReportAllocs()
			for b.Loop() {
				now += c.BeatEvery
				heart = heart.Echoed(now, c.BeatEvery)
				s, _ = Step(s, now, Pulse{Heart: heart})
			}
			if p := s.Phase(); p != Speaking && p != Standby {
				b.Fatalf("is %s", p)
			}
		})
	}
}
