// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"
)

func TestPortRules(t *testing.T) {
	for f, want := range map[Fault]struct{ from, to, group int }{
		MuteLAN: {1, 0, 0}, DeafLAN: {0, 1, 0}, NoBroadcast: {1, 1, 2},
	} {
		rules := portRules("lan-node1", f)
		from, to, group := strings.Count(rules, `iifname "lan-node1"`), strings.Count(rules, `oifname "lan-node1"`), strings.Count(rules, "ether daddr & 01:00")
		if from != want.from || to != want.to || group != want.group {
			t.Errorf("%s: %d rules for what the port sends, %d for what it gets, %d of them for groups alone; want %+v:\n%s", f, from, to, group, want, rules)
		}
	}
}

// Whoever is named first, it is the same pair, and so the same table.
func TestPairTable(t *testing.T) {
	a, b := newHost("node1", RoleNode, 11, 1), newHost("client1", RoleClient, 101, 1)
	if pairTable(a, b) != pairTable(b, a) {
		t.Errorf("%s and %s", pairTable(a, b), pairTable(b, a))
	}
}
