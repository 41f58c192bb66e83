// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"time"

	"github.com/arpeggio-lb/arpeggio/agent/detector"
	"github.com/arpeggio-lb/arpeggio/agent/election"
)

// frame is what goes over the wire, as far as it matters here.
type frame struct {
	kind detector.Kind // probe, or a Kind of the detector's
	vip  *address      // what it is about; nil: a host's own address
	of   int           // that host's port
	v6   bool          // the family of a host's own address
	mark mark          // zero: none
	zero bool          // asked with sender 0.0.0.0
	from int           // port
	card detector.MAC  // the sender's
	all  bool          // by broadcast
	at   time.Duration // when it was put on the wire
}

// probe is an ordinary question for a host's own address.
const probe detector.Kind = 0

// mark is what frames of agents carry.
type mark struct {
	uid         string // of the Lease
	transitions int32
	standing    election.Standing
	nonce       uint32
	flags       uint8
	set         bool
}

func (f frame) sixth() bool { return f.vip != nil && f.vip.place.V6 || f.vip == nil && f.v6 }
