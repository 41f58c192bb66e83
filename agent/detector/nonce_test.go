// SPDX-License-Identifier: Apache-2.0

package detector

import (
	"testing"
	"time"
)

// A nonce is fresh for two seconds, also where it begins anew after 71 minutes, and never before it
// was asked.
func TestFresh(t *testing.T) {
	for _, asked := range []Time{0, time.Hour, 1<<32*time.Microsecond - time.Second, 100 * time.Hour} {
		for age, want := range map[time.Duration]bool{
			0: true, time.Millisecond: true, 2 * time.Second: true, -5 * time.Millisecond: true,
			2*time.Second + time.Millisecond: false, time.Minute: false, time.Hour: false,
			-time.Second: false, -time.Hour: false, 36 * time.Minute: false,
		} {
			if got := Fresh(asked+age, Nonce(asked)); got != want {
				t.Errorf("asked at %v, %v ago: fresh %v", asked, age, got)
			}
		}
	}
}

// Questions of one moment have nonces of their own.
func TestNoncesDiffer(t *testing.T) {
	w := newWorld(t)
	for i := range 200 {
		w.stand(1, "eth0", addr(i, i%2 == 0))
	}
	w.run(10 * sec)
	seen := map[uint32]bool{}
	for _, o := range of[Ask](w, 0) {
		if seen[o.Nonce] {
			t.Fatalf("%d twice", o.Nonce)
		}
		seen[o.Nonce] = true
	}
}
