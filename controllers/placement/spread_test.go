// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// city is a cluster whose Services are ranked one after the other.
type city struct {
	t      *testing.T
	spread *Spread
	nodes  []Node
	owners map[string]string // by Service
	now    time.Duration
}

func newCity(t *testing.T, nodes int) *city {
	c := &city{t: t, spread: NewSpread(), owners: map[string]string{}}
	for i := range nodes {
		c.nodes = append(c.nodes, able(fmt.Sprintf("node%d", i+1)))
	}
	return c
}

// rank ranks a Service; whoever owns it goes on, else the first candidate takes it.
func (c *city) rank(key string) []string {
	c.t.Helper()
	r := c.spread.Rank(Question{Key: key, Addresses: one, Owner: c.owners[key], Nodes: c.nodes}, c.now)
	c.spread.Note(key, c.owners[key], r.Candidates, c.now)
	return r.Candidates
}

// create makes Services which their first candidates take.
func (c *city) create(from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		key := fmt.Sprintf("default/web-%d", i)
		c.owners[key] = c.rank(key)[0]
	}
	c.settle()
}

// settle ranks all Services until no list changes, as the manager does when nodes change.
func (c *city) settle() {
	c.t.Helper()
	before := map[string][]string{}
	for round := range 20 {
		same := true
		for _, key := range slices.Sorted(maps.Keys(c.owners)) {
			now := c.rank(key)
			same = same && slices.Equal(before[key], now)
			before[key] = now
		}
		if same && round > 0 {
			return
		}
	}
	c.t.Fatal("the lists do not come to rest")
}

// change changes a node.
func (c *city) change(name string, f func(*Node)) {
	for i := range c.nodes {
		if c.nodes[i].Name == name {
			f(&c.nodes[i])
		}
	}
}

// load counts the Services that each node owns.
func (c *city) load() map[string]int {
	load := map[string]int{}
	for _, n := range c.nodes {
		load[n.Name] = 0
	}
	for _, owner := range c.owners {
		load[owner]++
	}
	return load
}

// within wants all loads but those of some nodes to be between two bounds.
func (c *city) within(what string, least, most int, but ...string) {
	c.t.Helper()
	for n, l := range c.load() {
		if !slices.Contains(but, n) && (l < least || l > most) {
			c.t.Errorf("%s: %s owns %d, want %d to %d: %v", what, n, l, least, most, c.load())
		}
	}
}

func TestEqualNodesDifferByOne(t *testing.T) {
	for nodes := 1; nodes <= 12; nodes++ {
		for _, services := range []int{1, 7, 100, 300} {
			c := newCity(t, nodes)
			c.create(0, services)
			c.within(fmt.Sprintf("%d Services on %d nodes", services, nodes), services/nodes, (services+nodes-1)/nodes)
		}
	}
}

// The crash of each node in turn: its Services go to the first standbys, and these are
// spread over all others.
func TestLostNodeSpreadsOverAllOthers(t *testing.T) {
	for nodes := 3; nodes <= 8; nodes++ {
		for lost := range nodes {
			c := newCity(t, nodes)
			c.create(0, 300)
			gone := c.nodes[lost].Name
			had := c.load()[gone]
			before := c.load()
			for key, owner := range c.owners {
				if owner == gone {
					c.owners[key] = c.spread.seats[key].candidates[1]
				}
			}
			share := float64(had) / float64(nodes-1)
			for n, l := range c.load() {
				if got := float64(l - before[n]); n != gone && (got < share-2 || got > share+2) {
					t.Errorf("%d nodes, %s goes with %d: %s gets %v, want %.1f", nodes, gone, had, n, got, share)
				}
			}
		}
	}
}

func TestAddedNodeTakesItsShareOfWhatIsNew(t *testing.T) {
	c := newCity(t, 3)
	c.create(0, 300)
	before := maps.Clone(c.owners)
	c.nodes = append(c.nodes, able("node4"))
	c.settle()
	for key := range c.owners {
		if got := c.spread.seats[key].candidates; got[0] != before[key] {
			t.Fatalf("%s moves from %s to %s", key, before[key], got[0])
		}
	}
	if next := c.spread.standby; next[Pair{"node1", "node4"}] == 0 || next[Pair{"node2", "node4"}] == 0 || next[Pair{"node3", "node4"}] == 0 {
		t.Errorf("the added node stands by for nobody: %v", next)
	}
	c.create(300, 400)
	c.within("100 more", 100, 100)
	c.create(400, 800)
	c.within("400 more", 200, 200)
	for key, owner := range before {
		if c.owners[key] != owner {
			t.Errorf("%s has moved", key)
		}
	}
}

// All nodes are drained one after the other, as an upgrade of the machines does.
func TestRollingDrain(t *testing.T) {
	c := newCity(t, 4)
	c.create(0, 300)
	for i := range c.nodes {
		name := c.nodes[i].Name
		c.change(name, func(n *Node) { n.Drain = "true" })
		for _, key := range slices.Sorted(maps.Keys(c.owners)) {
			c.owners[key] = c.rank(key)[0]
			c.rank(key)
		}
		c.settle()
		if c.load()[name] != 0 {
			t.Fatalf("%s is drained and has %v", name, c.load())
		}
		c.within("while "+name+" is drained", 1, 110, name)
		c.change(name, func(n *Node) { n.Drain = "" })
		c.now += time.Hour
		c.settle()
	}
	c.within("after all", 0, 110)
}

func TestDrainAndCordon(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "false": "", "true": `annotation arpeggio.dev/drain is "true"`, "new kernel": `annotation arpeggio.dev/drain is "new kernel"`,
	} {
		r := rank(t, Question{Key: "ns/web", Addresses: one, Nodes: []Node{able("n", func(n *Node) { n.Drain = value })}})
		if r.Excluded["n"] != want {
			t.Errorf("%q: %q", value, r.Excluded["n"])
		}
	}

	c := newCity(t, 3)
	c.create(0, 30)
	before := map[string][]string{}
	for key := range c.owners {
		before[key] = c.spread.seats[key].candidates
	}
	c.change("node2", func(n *Node) { n.Cordoned = true })
	c.settle()
	for key, was := range before {
		if got := c.spread.seats[key].candidates; !slices.Equal(got, was) {
			t.Errorf("the cordon changes %s from %v to %v", key, was, got)
		}
	}
	for i := range 30 {
		if got := c.rank(fmt.Sprintf("default/new-%d", i)); got[2] != "node2" {
			t.Errorf("a new one stands on the cordoned node: %v", got)
		}
	}
	c.change("node2", func(n *Node) { n.Weight = 1 })
	if got := c.rank("default/preferred"); got[0] != "node2" {
		t.Errorf("last among equals only: %v", got)
	}
}

func TestWeightGoesBeforeLoad(t *testing.T) {
	c := newCity(t, 3)
	c.change("node2", func(n *Node) { n.Weight = 5 })
	c.create(0, 30)
	if c.load()["node2"] != 30 {
		t.Errorf("%v", c.load())
	}
	c.change("node2", func(n *Node) { n.Weight = 0 })
	c.create(30, 90)
	c.within("then the others", 30, 30)
}

func TestFirstCandidateStaysWhileNobodyOwns(t *testing.T) {
	c := newCity(t, 3)
	var firsts []string
	for i := range 30 {
		firsts = append(firsts, c.rank(fmt.Sprint("s", i))[0])
	}
	c.nodes = append(c.nodes, able("node4"))
	for i, want := range firsts {
		if got := c.rank(fmt.Sprint("s", i))[0]; got != want {
			t.Errorf("s%d moves from %s to %s", i, want, got)
		}
	}
	// What is forgotten counts no more.
	for i := range 30 {
		c.spread.Forget(fmt.Sprint("s", i))
	}
	c.spread.Forget("unknown")
	if len(c.spread.load)+len(c.spread.standby)+len(c.spread.seats) != 0 {
		t.Errorf("%+v", c.spread)
	}
}

// The owner before may be dead: for a minute it stands behind the others as a standby.
func TestLeftNodeStandsBehind(t *testing.T) {
	c := newCity(t, 3)
	c.create(0, 300)
	for key, owner := range c.owners {
		if owner == "node1" {
			c.owners[key] = c.spread.seats[key].candidates[1]
			for range 2 {
				if got := c.rank(key); got[0] != c.owners[key] || got[2] != "node1" {
					t.Fatalf("%s: %v", key, got)
				}
			}
		}
	}
	// A manager that has just started knows it by the announcement.
	fresh := NewSpread()
	fresh.Note("ns/web", "node2", []string{"node1", "node2", "node3"}, 0)
	if got := fresh.Rank(Question{Key: "ns/web", Addresses: one, Owner: "node2", Nodes: c.nodes}, 0).Candidates; !slices.Equal(got, []string{"node2", "node3", "node1"}) {
		t.Errorf("%v", got)
	}
	if fresh.load["node2"] != 1 || fresh.load["node1"] != 0 {
		t.Errorf("the Service counts for %v", fresh.load)
	}
	c.now += aside
	c.settle() // the lists come to rest with node1 in them again
	if c.spread.standby[Pair{"node2", "node1"}] == 0 {
		t.Errorf("after a minute it stands by for nobody: %v", c.spread.standby)
	}
}

// FuzzSpread: whatever comes and goes, the counts are those of the seats, and the lists
// come to rest.
func FuzzSpread(f *testing.F) {
	f.Add([]byte("abcdefghijklmnopqrstuvwxyz0123456789"), uint8(4))
	f.Fuzz(func(t *testing.T, steps []byte, nodes uint8) {
		c := newCity(t, 1+int(nodes%6))
		for i := range c.nodes {
			c.nodes[i].Zone = fmt.Sprint(i % 3)
		}
		for i, b := range steps[:min(len(steps), 200)] {
			key := fmt.Sprint("s", b%16)
			n := &c.nodes[int(b/16)%len(c.nodes)]
			switch i % 5 {
			case 0, 1:
				if l := c.rank(key); len(l) > 0 {
					c.owners[key] = l[int(b)%len(l)]
				}
			case 2:
				n.Silent = !n.Silent
			case 3:
				n.Drain = map[bool]string{true: "", false: "yes"}[n.Drain != ""]
			case 4:
				c.spread.Forget(key)
				delete(c.owners, key)
			}
			c.now += time.Duration(b) * time.Second
		}
		c.settle()
		load, standby := map[string]int{}, map[Pair]int{}
		for _, s := range c.spread.seats {
			load[s.pair.First]++
			if s.pair.Next != "" {
				standby[s.pair]++
			}
		}
		delete(load, "")
		if !maps.Equal(load, c.spread.load) || !maps.Equal(standby, c.spread.standby) {
			t.Errorf("%v %v, counted %v %v", c.spread.load, c.spread.standby, load, standby)
		}
	})
}

func BenchmarkRank(b *testing.B) {
	s := NewSpread()
	var nodes []Node
	for i := range 100 {
		nodes = append(nodes, able(fmt.Sprint("node", i)))
	}
	for i := 0; b.Loop(); i++ {
		key := fmt.Sprint("s", rand.IntN(5000))
		r := s.Rank(Question{Key: key, Addresses: one, Nodes: nodes}, 0)
		s.Note(key, "", r.Candidates, 0)
	}
}
