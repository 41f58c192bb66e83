// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// Under any faults and changes no two nodes answer, and once all is well again one does,
// and the status says which.
func TestFaults(t *testing.T) {
	seeds := 30
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { faults(t, rand.New(rand.NewPCG(uint64(seed), 1))) })
		})
	}
}

func faults(t *testing.T, r *rand.Rand) {
	names := []string{"n1", "n2", "n3"}
	w := newWorld(t, names...)
	key := w.announce("web", names...)
	time.Sleep(10 * time.Second)
	var story []string
	down := map[string]bool{}
	for range 40 {
		m := w.nodes[names[r.IntN(len(names))]]
		deed := deeds[r.IntN(len(deeds))]
		if down[m.name] != deed.onDown && !deed.onAny {
			continue
		}
		story = append(story, deed.name+" "+m.name)
		deed.do(w, m, r)
		switch deed.name {
		case "crash":
			down[m.name] = true
		case "boot":
			down[m.name] = false
		}
		for range r.IntN(200) {
			time.Sleep(20 * time.Millisecond)
			if got := w.answers(vip4); len(got) > 1 {
				t.Fatalf("%v answer after\n%s", got, strings.Join(story, "\n"))
			}
		}
	}
	for _, name := range names {
		m := w.nodes[name]
		if down[name] {
			m = w.boot(name)
		}
		m.heal()
		m.failPorts(nil)
		m.link(m.eth0())
	}
	w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) { s.Candidates, s.MoveTo = names, "" })
	time.Sleep(90 * time.Second)
	got := w.answers(vip4)
	if len(got) != 1 {
		t.Fatalf("%v answer, all well again, after\n%s", got, strings.Join(story, "\n"))
	}
	w.speaks(got[0])
	if s := w.status(key); s.Node != got[0] || w.holder("web") != got[0] {
		t.Errorf("%s speaks, the Lease says %s, the status %+v, after\n%s", got[0], w.holder("web"), s, strings.Join(story, "\n"))
	}
}

// deeds are what may happen; to a node that is up, down, or either.
var deeds = []struct {
	name          string
	onDown, onAny bool
	do            func(w *world, m *machine, r *rand.Rand)
}{
	{name: "crash", do: func(_ *world, m *machine, _ *rand.Rand) { m.kill() }},
	{name: "boot", onDown: true, do: func(w *world, m *machine, _ *rand.Rand) { w.boot(m.name) }},
	{name: "cut from the API", do: func(_ *world, m *machine, _ *rand.Rand) { m.cutAPI() }},
	{name: "heal", do: func(_ *world, m *machine, _ *rand.Rand) { m.heal() }},
	{name: "link down", do: func(_ *world, m *machine, _ *rand.Rand) { m.link() }},
	{name: "link up", do: func(_ *world, m *machine, _ *rand.Rand) { m.link(m.eth0()) }},
	{name: "sockets fail", do: func(_ *world, m *machine, _ *rand.Rand) { m.failPorts(errors.New("not permitted")) }},
	{name: "sockets work", do: func(_ *world, m *machine, _ *rand.Rand) { m.failPorts(nil) }},
	{name: "move to", onAny: true, do: func(w *world, m *machine, _ *rand.Rand) {
		w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) { s.MoveTo = m.name })
	}},
	{name: "new rank", onAny: true, do: func(w *world, _ *machine, r *rand.Rand) {
		w.publish("web", func(s *v1alpha1.VIPAnnouncementSpec) {
			r.Shuffle(len(s.Candidates), func(i, k int) {
				s.Candidates[i], s.Candidates[k] = s.Candidates[k], s.Candidates[i]
			})
		})
	}},
	{name: "Lease deleted", onAny: true, do: func(w *world, _ *machine, r *rand.Rand) {
		w.remove(v1alpha1.ServiceLease("default", "web"))
		time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
		w.lease("web")
	}},
	{name: "Service deleted and made again", onAny: true, do: func(w *world, _ *machine, r *rand.Rand) {
		key := types.NamespacedName{Namespace: "default", Name: "web"}
		w.withdraw(key)
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		w.remove(v1alpha1.ServiceLease("default", "web"))
		w.announce("web", "n1", "n2", "n3")
	}},
	{name: "facts deleted", onAny: true, do: func(w *world, m *machine, _ *rand.Rand) {
		w.remove(v1alpha1.FactsLease(m.name))
	}},
}
