// SPDX-License-Identifier: Apache-2.0

package detector

import "testing"

// A second of idleness: 5,000 addresses of 10 speakers, every question answered.
func BenchmarkIdleSecond(b *testing.B) {
	w := newWorld(b)
	w.gateway(Path{"eth0", false})
	views := map[string]View{}
	names := []string{}
	for n := range 10 {
		all := addrs(500*(n+1), false)[500*n:]
		w.card(n+1, all...)
		for _, a := range all {
			v := View{Role: Stand, Near: true, Since: w.now, Transitions: 1,
				Places: []Place{{Addr: a, Interface: "eth0", Speaker: mac(n + 1)}}}
			names = append(names, a.String())
			views[a.String()] = v
			w.d.Follow(w.now, a.String(), v)
		}
	}
	w.run(10 * sec)
	w.said = nil
	b.Run("run", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.run(sec)
			w.said = w.said[:0]
		}
	})
	b.Run("follow", func(b *testing.B) { // all views once, unchanged
		b.ReportAllocs()
		for b.Loop() {
			for _, name := range names {
				w.d.Follow(w.now, name, views[name])
			}
		}
	})
	b.Run("sound", func(b *testing.B) { // one that changes little: a flood of claims
		b.ReportAllocs()
		s := Sound{Kind: Claim, Interface: "eth0", Addr: addr(77, false), From: mac(1), SameLease: true, Transitions: 1, At: w.now}
		for b.Loop() {
			w.d.Heard(w.now, s)
		}
		w.take()
	})
}
