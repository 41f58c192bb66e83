// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var one = []netip.Addr{netip.MustParseAddr("192.168.1.240")}

// able is a node that may speak for one address.
func able(name string, change ...func(*Node)) Node {
	n := Node{Name: name, Selected: true, Reported: true, Interfaces: []string{"eth0", "mgmt0"}, Reaches: []bool{true, true}, Endpoint: true}
	for _, c := range change {
		c(&n)
	}
	return n
}

// rank asks three times, with the nodes in other orders.
func rank(t *testing.T, q Question) Ranking {
	t.Helper()
	r := Rank(q)
	for range 3 {
		rand.Shuffle(len(q.Nodes), func(i, j int) { q.Nodes[i], q.Nodes[j] = q.Nodes[j], q.Nodes[i] })
		if diff := cmp.Diff(r, Rank(q)); diff != "" {
			t.Fatalf("another order of the nodes, another answer: %s", diff)
		}
	}
	return r
}

func TestWhyNot(t *testing.T) {
	for _, tc := range []struct {
		name     string
		node     Node
		q        Question
		want     string // refusal; empty: candidate
		excluded bool
	}{
		{name: "able", node: able("n")},
		{name: "silent", node: able("n", func(n *Node) { n.Silent = true })},
		{name: "label", node: able("n", func(n *Node) { n.ExcludedByLabel = true }), want: "label node.kubernetes.io/exclude-from-external-load-balancers is set", excluded: true},
		{name: "taint", node: able("n", func(n *Node) { n.OutOfService = true }), want: "taint node.kubernetes.io/out-of-service is set", excluded: true},
		{name: "condition", node: able("n", func(n *Node) { n.NetworkUnavailable = true }), want: "condition NetworkUnavailable is true", excluded: true},
		{name: "selector", node: able("n", func(n *Node) { n.Selected = false }), want: "the pool's nodeSelector does not match", excluded: true},
		{name: "no facts", node: able("n", func(n *Node) { n.Reported = false }), want: "no agent has reported its interfaces"},
		{name: "no subnet", node: able("n", func(n *Node) { n.Reaches = []bool{false} }), want: "no interface has a subnet with 192.168.1.240 or the default route of its family (has eth0, mgmt0)"},
		{name: "no interface", node: able("n", func(n *Node) { n.Reaches = []bool{false} }), q: Question{Patterns: []string{"eth9", "bond*"}}, want: `no interface matches "eth9" or "bond*" (has eth0, mgmt0)`},
		{name: "no interfaces at all", node: able("n", func(n *Node) { n.Reaches, n.Interfaces = nil, nil }), q: Question{Patterns: []string{"eth9"}}, want: `no interface matches "eth9" (has none)`},
		{name: "the named interface is a port", node: able("n", func(n *Node) {
			n.Reaches, n.Refused = []bool{false}, []string{"eth1 is a port of bond0: name bond0 instead"}
		}), q: Question{Patterns: []string{"eth1"}}, want: "eth1 is a port of bond0: name bond0 instead"},
		{name: "two that are named", node: able("n", func(n *Node) {
			n.Reaches, n.Refused = []bool{false}, []string{"eth1 is down: set it up", "eth2 has no carrier: look"}
		}), q: Question{Patterns: []string{"eth1", "eth2"}}, want: "eth1 is down: set it up, eth2 has no carrier: look"},
		{name: "many that are named", node: able("n", func(n *Node) {
			n.Reaches, n.Refused = []bool{false}, []string{"a is x", "b is x", "c is x", "d is x", "e is x"}
		}), q: Question{Patterns: []string{"*"}}, want: "a is x, b is x, c is x, and 2 more that are named cannot carry a VIP"},
		{name: "one that is named can", node: able("n", func(n *Node) { n.Refused = []string{"eth1 is down: set it up"} }), q: Question{Patterns: []string{"eth*"}}},
		{name: "no endpoint, Cluster", node: able("n", func(n *Node) { n.Endpoint = false })},
		{name: "no endpoint, Local", node: able("n", func(n *Node) { n.Endpoint = false }), q: Question{Local: true}, want: "no ready endpoint of the Service is on it, and externalTrafficPolicy is Local"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := tc.q
			q.Key, q.Addresses, q.Nodes = "ns/web", one, []Node{tc.node}
			r := rank(t, q)
			if tc.want == "" {
				if !slices.Equal(r.Candidates, []string{"n"}) || len(r.Refusals) != 0 {
					t.Errorf("%+v", r)
				}
				return
			}
			if len(r.Candidates) != 0 || len(r.Refusals) != 1 || r.Refusals[0].Why != tc.want {
				t.Errorf("%+v, want %q", r, tc.want)
			}
			if _, named := r.Excluded["n"]; named != tc.excluded {
				t.Errorf("excluded by name: %v", r.Excluded)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	q := Question{Key: "ns/web", Addresses: one, Nodes: []Node{able("a"), able("b"), able("c"), able("d")}}
	plain := rank(t, q).Candidates
	if len(plain) != 4 {
		t.Fatal(plain)
	}
	q.Owner = plain[3]
	if got := rank(t, q).Candidates; !slices.Equal(got, []string{plain[3], plain[0], plain[1], plain[2]}) {
		t.Errorf("the owner stays first: %v after %v", got, plain)
	}
	q.Owner = ""
	for i := range q.Nodes {
		switch q.Nodes[i].Name {
		case plain[0]:
			q.Nodes[i].Silent = true
			q.Nodes[i].Weight = 100
		case plain[2]:
			q.Nodes[i].Weight = 1
		}
	}
	if got := rank(t, q).Candidates; !slices.Equal(got, []string{plain[2], plain[1], plain[3], plain[0]}) {
		t.Errorf("weight first, silent last: %v after %v", got, plain)
	}
}

// A node that joins or leaves changes nothing in the order of the others.
func TestOrderIsStable(t *testing.T) {
	var nodes []Node
	for i := range 6 {
		nodes = append(nodes, able(fmt.Sprintf("node%d", i)))
	}
	for s := range 50 {
		q := Question{Key: fmt.Sprintf("ns/web%d", s), Addresses: one, Nodes: nodes}
		all := Rank(q).Candidates
		for gone := range nodes {
			q.Nodes = slices.Delete(slices.Clone(nodes), gone, gone+1)
			want := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == nodes[gone].Name })
			if got := Rank(q).Candidates; !slices.Equal(got, want) {
				t.Fatalf("without %s: %v, want %v", nodes[gone].Name, got, want)
			}
		}
	}
}

// Services spread over nodes, and over the standbys of a node, as the hash has it.
func TestSpread(t *testing.T) {
	nodes := []Node{able("node1"), able("node2"), able("node3")}
	first, second := map[string]int{}, map[string]int{}
	for s := range 3000 {
		c := Rank(Question{Key: fmt.Sprintf("default/web-%d", s), Addresses: one, Nodes: nodes}).Candidates
		first[c[0]]++
		second[c[0]+c[1]]++
	}
	for n, c := range first {
		if c < 900 || c > 1100 {
			t.Errorf("%s is first for %d of 3000", n, c)
		}
	}
	for n, c := range second {
		if c < 420 || c > 580 {
			t.Errorf("%s for %d of 3000", n, c)
		}
	}
}

func TestDualStack(t *testing.T) {
	both := []netip.Addr{one[0], netip.MustParseAddr("fd00::1")}
	only4 := func(n *Node) { n.Reaches = []bool{true, false} }
	q := Question{Key: "ns/web", Addresses: both, Nodes: []Node{able("four", only4), able("both"), able("late", func(n *Node) { n.Silent = true })}}
	r := rank(t, q)
	if !slices.Equal(r.Candidates, []string{"both", "late"}) || len(r.Refusals) != 1 || !strings.Contains(r.Refusals[0].Why, "fd00::1") || !strings.Contains(r.Refusals[0].Why, "other nodes can serve all") {
		t.Errorf("%+v", r)
	}
	q.Nodes = []Node{able("four", only4), able("late", func(n *Node) { n.Silent = true })}
	if r := rank(t, q); !slices.Equal(r.Candidates, []string{"late", "four"}) {
		t.Errorf("where only a silent node serves both, the others may too: %v", r.Candidates)
	}
	q.Nodes = []Node{able("four", only4)}
	if r := rank(t, q); !slices.Equal(r.Candidates, []string{"four"}) {
		t.Errorf("better one address than none: %v", r.Candidates)
	}
}

func TestLimits(t *testing.T) {
	q := Question{Key: "ns/web", Addresses: one, Owner: "out99"}
	for i := range 20 {
		q.Nodes = append(q.Nodes, able(fmt.Sprintf("node%02d", i)))
	}
	for i := range 100 {
		q.Nodes = append(q.Nodes, able(fmt.Sprintf("out%02d", i), func(n *Node) { n.Selected = false }))
	}
	r := rank(t, q)
	if len(r.Candidates) != MaxCandidates || len(r.Excluded) != MaxExcluded || r.Excluded["out99"] == "" {
		t.Errorf("%d candidates, excluded %v", len(r.Candidates), r.Excluded)
	}
	if text := q.Nobody(r.Refusals); !strings.Contains(text, "and 90 more nodes") || len(text) > 1024 {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

func TestNobody(t *testing.T) {
	q := Question{Key: "ns/web", Addresses: one, Patterns: []string{"eth9"}, Nodes: []Node{
		able("node2", func(n *Node) { n.ExcludedByLabel = true }), able("node1", func(n *Node) { n.Reaches = []bool{false} }),
		able("node3", func(n *Node) {
			n.Reaches, n.Refused = []bool{false}, []string{"eth9 is a port of bond0: name bond0 instead"}
		}),
	}}
	want := `no node may speak for 192.168.1.240: node1: no interface matches "eth9" (has eth0, mgmt0); node2: label node.kubernetes.io/exclude-from-external-load-balancers is set; node3: eth9 is a port of bond0: name bond0 instead`
	if got := q.Nobody(rank(t, q).Refusals); got != want {
		t.Errorf("got %s", got)
	}
	if got := q.Nobody(nil); !strings.Contains(got, "no nodes") {
		t.Error(got)
	}
}

// FuzzRank: whatever the nodes are like, each is a candidate or has a reason, or there are
// enough candidates already; the answer does not depend on their order.
func FuzzRank(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 255, 128}, uint8(3))
	f.Fuzz(func(t *testing.T, bits []byte, flags uint8) {
		q := Question{Key: "ns/web", Addresses: one, Local: flags&1 != 0}
		if flags&2 != 0 {
			q.Addresses = append(q.Addresses, netip.MustParseAddr("fd00::1"))
		}
		for i, b := range bits[:min(len(bits), 64)] {
			q.Nodes = append(q.Nodes, Node{
				Name: fmt.Sprintf("n%02d", i), Selected: b&1 == 0, ExcludedByLabel: b&2 != 0 && b&4 != 0, OutOfService: b&8 != 0 && b&4 != 0,
				Reported: b&16 == 0, Reaches: []bool{b&32 == 0, b&64 == 0}, Endpoint: b&128 == 0, Silent: b%3 == 0, Weight: int(b % 5),
			})
		}
		if len(q.Nodes) > 0 && flags&4 != 0 {
			q.Owner = q.Nodes[int(flags)%len(q.Nodes)].Name
		}
		r := rank(t, q)
		why := map[string]bool{}
		for _, x := range r.Refusals {
			if x.Why == "" || why[x.Node] || slices.Contains(r.Candidates, x.Node) {
				t.Fatalf("refusal %+v of %+v", x, r)
			}
			why[x.Node] = true
		}
		for _, n := range q.Nodes {
			if !why[n.Name] && !slices.Contains(r.Candidates, n.Name) && len(r.Candidates) < MaxCandidates {
				t.Fatalf("%s is no candidate, and nobody says why: %+v", n.Name, r)
			}
		}
		if slices.Contains(r.Candidates, q.Owner) && r.Candidates[0] != q.Owner && len(q.Addresses) == 1 {
			t.Fatalf("the owner %s is not first: %v", q.Owner, r.Candidates)
		}
		if q.Owner != "" && why[q.Owner] && r.Excluded[q.Owner] == "" {
			for _, n := range q.Nodes {
				if n.Name == q.Owner && exclusion(n) != "" {
					t.Fatalf("the excluded owner is not named: %+v", r)
				}
			}
		}
	})
}
