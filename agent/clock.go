// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
)

// bootTime reads the clock of the election and of the gate.
func bootTime() election.Time { return wire.Boottime() }
