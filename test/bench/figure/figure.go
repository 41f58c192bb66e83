// SPDX-License-Identifier: Apache-2.0

package figure

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Figure is one measured number.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Target is what the value should reach; nil where nothing is asked for.
	Target *float64 `json:"target"`
	// Better is "lower" or "higher".
	Better string `json:"better"`
	// Holds says whether the value reaches the target; nil without one.
	Holds *bool `json:"holds"`
	// Peer names another system that was measured in the same run, PeerValue is its figure; empty and nil where there is
	// none.
	Peer      string   `json:"peer"`
	PeerValue *float64 `json:"peerValue"`
}

// Lower is a figure of which less is better.
func Lower(name string, value float64, unit string) Figure {
	return Figure{Name: name, Value: value, Unit: unit, Better: "lower"}
}

// Milliseconds is a time, of which less is better.
func Milliseconds(name string, d time.Duration) Figure {
	return Lower(name, float64(d.Microseconds())/1000, "ms")
}

// AtMost gives the figure a target.
func (f Figure) AtMost(target float64) Figure {
	holds := f.Value <= target
	f.Target, f.Holds = &target, &holds
	return f
}

// Beside gives the figure a peer's.
func (f Figure) Beside(peer string, value float64) Figure {
	f.Peer, f.PeerValue = peer, &value
	return f
}

// String says what was measured and what was asked for.
func (f Figure) String() string {
	s := fmt.Sprintf("%s: %g %s", f.Name, f.Value, f.Unit)
	if f.Target != nil {
		s += fmt.Sprintf(", target %g", *f.Target)
	}
	if f.PeerValue != nil {
		s += fmt.Sprintf(", %s %g", f.Peer, *f.PeerValue)
	}
	return s
}

// WriteLines writes one JSON object a line.
func WriteLines(out io.Writer, figures []Figure) error {
	e := json.NewEncoder(out)
	for _, f := range figures {
		if err := e.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// Median of the values, the higher of the two in the middle of an even number; 0 of none.
func Median[T ~int64 | ~int | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Worst is the highest value, 0 of none.
func Worst[T ~int64 | ~int | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	return slices.Max(values)
}
