// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// version of what is said. Who speaks another one is no heir and gives nothing.
	version = 1
	// maxSaid bounds a line of a successor, maxWill that of a holder: 40,000 voices.
	maxSaid = 4 << 10
	maxWill = 4 << 20
	// maxLines bounds how often a successor may speak; it has three things to say.
	maxLines = 8
)

// Inheritance is what a holder leaves to its successor on the same machine.
type Inheritance struct {
	// From is the incarnation that spoke.
	From string `json:"from"`
	// Given is when it was given, by the boot clock. The giver spoke until then.
	Given time.Duration `json:"given"`
	// BeatSent is when the last heartbeat was sent that came back to the giver, by the
	// boot clock; 0: none did.
	BeatSent time.Duration `json:"beatSent"`
	// Voices are what the giver spoke for.
	Voices []Voice `json:"voices"`
}

// Voice is one Lease that is spoken for.
type Voice struct {
	// Lease is the name of the Lease.
	Lease string
	// UID and Transitions are the epoch of the voice.
	UID         string
	Transitions int32
	// Standing of the voice; this package does not know its meaning.
	Standing uint8
}

// MarshalText gives "LEASE UID TRANSITIONS STANDING". As fields of JSON, thousands of voices
// would take three times as long to read, in which nobody speaks.
func (v Voice) MarshalText() ([]byte, error) {
	if v.Lease == "" || v.UID == "" || v.Transitions < 0 || strings.ContainsAny(v.Lease+v.UID, " \n") {
		return nil, fmt.Errorf("voice %+v has no epoch", v)
	}
	b := make([]byte, 0, len(v.Lease)+len(v.UID)+16)
	b = append(append(append(append(b, v.Lease...), ' '), v.UID...), ' ')
	b = append(strconv.AppendInt(b, int64(v.Transitions), 10), ' ')
	return strconv.AppendUint(b, uint64(v.Standing), 10), nil
}

// UnmarshalText reads what MarshalText gave.
func (v *Voice) UnmarshalText(text []byte) error {
	f := strings.Split(string(text), " ")
	if len(f) != 4 || f[0] == "" || f[1] == "" {
		return fmt.Errorf("%q is no voice", text)
	}
	transitions, err := strconv.ParseUint(f[2], 10, 31)
	if err != nil {
		return fmt.Errorf("transitions of voice %q: %w", text, err)
	}
	standing, err := strconv.ParseUint(f[3], 10, 8)
	if err != nil {
		return fmt.Errorf("standing of voice %q: %w", text, err)
	}
	*v = Voice{Lease: f[0], UID: f[1], Transitions: int32(transitions), Standing: uint8(standing)}
	return nil
}

// will is the line of a holder.
type will struct {
	Version int `json:"version"`
	Inheritance
}

// said is a line of a successor: first who it is, then that it is ready, then that it took.
type said struct {
	Version     int    `json:"version"`
	Incarnation string `json:"incarnation,omitempty"`
	Ready       bool   `json:"ready,omitempty"`
	Took        bool   `json:"took,omitempty"`
}

// encode gives a line.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return append(b, '\n'), nil
}

// parseSaid reads a successor's line.
func parseSaid(line []byte) (said, error) {
	var s said
	if err := json.Unmarshal(line, &s); err != nil {
		return said{}, fmt.Errorf("line of a successor: %w", err)
	}
	if s.Version != version {
		return said{}, fmt.Errorf("a successor speaks version %d, this agent %d", s.Version, version)
	}
	return s, nil
}

// parseWill reads a holder's line.
func parseWill(line []byte) (*Inheritance, error) {
	var w will
	if err := json.Unmarshal(line, &w); err != nil {
		return nil, fmt.Errorf("line of the holder: %w", err)
	}
	if w.Version != version {
		return nil, fmt.Errorf("the holder speaks version %d, this agent %d", w.Version, version)
	}
	seen := make(map[string]bool, len(w.Voices))
	for _, v := range w.Voices {
		if seen[v.Lease] {
			return nil, fmt.Errorf("the holder gave the voice of Lease %q twice", v.Lease)
		}
		seen[v.Lease] = true
	}
	return &w.Inheritance, nil
}
