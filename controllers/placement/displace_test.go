// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"testing"
	"time"
)

func TestDisplacement(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name  string
		d     Displacement
		order bool
		in    time.Duration
	}{
		{"heard", Displacement{Now: 105 * s, EndpointsKnown: true, Changed: 103 * s, Successor: true}, false, 0},
		{"overdue, nothing changed", Displacement{Now: 106 * s, Successor: true}, false, 60 * s},
		{"overdue, changed before", Displacement{Now: 106 * s, EndpointsKnown: true, Changed: 99 * s, Successor: true}, false, 60 * s},
		{"overdue, changed since", Displacement{Now: 106 * s, EndpointsKnown: true, Changed: 103 * s, Successor: true}, true, 0},
		{"changed since, nobody could take over", Displacement{Now: 106 * s, EndpointsKnown: true, Changed: 103 * s}, false, 6 * s},
		{"nearly a minute", Displacement{Now: 165 * s, Successor: true}, false, s},
		{"a minute", Displacement{Now: 166 * s, Successor: true}, true, 0},
		{"a minute, nobody could take over", Displacement{Now: 166 * s}, false, 6 * s},
	} {
		tc.d.Heard, tc.d.Lasts = 100*s, 6*s
		if order, in := tc.d.Decide(); order != tc.order || in != tc.in {
			t.Errorf("%s: %v, again in %v; want %v, %v", tc.name, order, in, tc.order, tc.in)
		}
	}
}
