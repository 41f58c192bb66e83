// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"testing"
)

func TestZones(t *testing.T) {
	zoned := func(zones ...string) []Node {
		var nodes []Node
		for i, z := range zones {
			nodes = append(nodes, able(fmt.Sprintf("n%d", i), func(n *Node) { n.Zone = z }))
		}
		return nodes
	}
	for s := range 50 {
		q := Question{Key: fmt.Sprint("ns/web", s), Addresses: one}
		q.Nodes = zoned("a", "a", "a", "b", "b", "c")
		zone := map[string]string{}
		for _, n := range q.Nodes {
			zone[n.Name] = n.Zone
		}
		q.Owner = q.Nodes[s%6].Name
		got := rank(t, q).Candidates
		if got[0] != q.Owner || zone[got[0]] == zone[got[1]] || zone[got[0]] == zone[got[2]] || zone[got[1]] == zone[got[2]] {
			t.Errorf("owner %s: %v", q.Owner, got)
		}
		// Two zones: the first standby is in the other one.
		q.Nodes = zoned("a", "a", "b", "b")
		q.Owner = "n0"
		if got := rank(t, q).Candidates; got[1] != "n2" && got[1] != "n3" {
			t.Errorf("two zones: %v", got)
		}
		// A silent node of another zone is no standby.
		q.Nodes = zoned("a", "a", "b", "b")
		q.Nodes[2].Silent, q.Nodes[3].Silent = true, true
		if got := rank(t, q).Candidates; got[1] != "n1" {
			t.Errorf("silent: %v", got)
		}
		// Preference goes before zones for one standby, not for both.
		q.Nodes = zoned("a", "a", "a", "b")
		for i := range 3 {
			q.Nodes[i].Weight = 9
		}
		if got := rank(t, q).Candidates; got[0] != "n0" || got[1] == "n3" || got[2] != "n3" {
			t.Errorf("preferred: %v", got)
		}
	}
}

func TestWorse(t *testing.T) {
	nodes := func(names ...string) (list []Node) {
		for _, n := range names {
			list = append(list, able(n))
		}
		return list
	}
	label := func(n Node) Node { n.ExcludedByLabel = true; return n }
	for _, tc := range []struct {
		name   string
		before []string
		nodes  []Node
		want   bool
	}{
		{"new", nil, nodes("a", "b"), false},
		{"the same", []string{"a", "b", "c"}, nodes("a", "b", "c"), false},
		{"one of three", []string{"a", "b", "c"}, nodes("a", "b"), false},
		{"two of three", []string{"a", "b", "c"}, nodes("a"), true},
		{"half", []string{"a", "b"}, nodes("a"), false},
		{"all", []string{"a"}, nil, true},
		{"other ones", []string{"a", "b"}, nodes("c", "d"), false},
		{"excluded on somebody's word", []string{"a", "b", "c"}, []Node{able("a"), label(able("b")), label(able("c"))}, false},
		{"excluded and lost", []string{"a", "b", "c"}, []Node{label(able("c"))}, true},
	} {
		r := rank(t, Question{Key: "ns/web", Addresses: one, Before: tc.before, Nodes: tc.nodes})
		if r.Worse() != tc.want {
			t.Errorf("%s: %v", tc.name, r.Worse())
		}
	}
}
