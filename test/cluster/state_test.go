// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"os/exec"
	"testing"

	"github.com/arpeggio-lb/arpeggio/test/cluster/machine"
)

// A cluster is a leftover once the process it was for has ended, and nobody else's while that runs.
func TestOwner(t *testing.T) {
	self, err := machine.Self()
	if err != nil {
		t.Fatal(err)
	}
	parent := self
	parent.PID = os.Getppid()
	other := exec.CommandContext(t.Context(), "sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	runs, err := machine.Identify(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		owner             *machine.Identity
		abandoned, others bool
	}{
		"nobody's":         {nil, false, false},
		"ours":             {&self, false, false},
		"another's":        {&runs, false, true},
		"a pid used again": {&parent, true, false},
		"another boot":     {&machine.Identity{PID: self.PID, StartTime: self.StartTime, Boot: "another"}, true, false},
	} {
		s := state{Owner: test.owner}
		if s.abandoned() != test.abandoned || s.othersOwn() != test.others {
			t.Errorf("%s: abandoned %v, another's %v; want %v, %v", name, s.abandoned(), s.othersOwn(), test.abandoned, test.others)
		}
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	if s := (state{Owner: &runs}); !s.abandoned() || s.othersOwn() {
		t.Error("its owner has ended: not abandoned")
	}
}
