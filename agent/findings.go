// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/agent/conflict"
	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// formerFor is how long what this node's agent before found out stands, until it is found
	// again.
	formerFor = time.Minute
	// maxConflicts and maxProbed are what the API takes.
	maxConflicts = 8
	maxProbed    = 4
)

// findingSpot is an address on an interface.
type findingSpot struct {
	addr netip.Addr
	name string
}

// findings is what this node found out about the addresses of an announcement.
type findings struct {
	of     types.UID // the announcement
	others map[findingSpot][]v1alpha1.Conflict
	kernel []v1alpha1.Conflict // this node's
	former []v1alpha1.Conflict // of this node's agent before
	until  election.Time       // former
	probed []string            // found free here, and nobody was heard since
	told   []v1alpha1.Conflict // as last put into the status
}

// adopt begins anew with another announcement, and tells whether it is one.
func (f *findings) adopt(a *v1alpha1.VIPAnnouncement, node string, now election.Time) bool {
	if a == nil || a.UID == f.of {
		return false
	}
	f.begin(a, node, now)
	return true
}

// begin goes on from what this node's agent before wrote into the status.
func (f *findings) begin(a *v1alpha1.VIPAnnouncement, node string, now election.Time) {
	*f = findings{of: a.UID, until: now + formerFor}
	for _, c := range a.Status.Conflicts {
		if c.Reporter == node {
			f.former = append(f.former, c)
		}
	}
	f.told = slices.Clone(f.former)
}

// keep forgets what was heard where nobody listens any more.
func (f *findings) keep(places []conflict.Place) {
	maps.DeleteFunc(f.others, func(at findingSpot, _ []v1alpha1.Conflict) bool {
		return !slices.ContainsFunc(places, func(p conflict.Place) bool { return p.Addr == at.addr && p.Interface == at.name })
	})
}

// sameConflict compares all but the time.
func sameConflict(a, b v1alpha1.Conflict) bool {
	a.Since = b.Since
	return a == b
}

// known finds a conflict among those known already.
func (f *findings) known(c v1alpha1.Conflict) (v1alpha1.Conflict, bool) {
	for _, o := range append(f.own(0), f.former...) {
		if sameConflict(o, c) {
			return o, true
		}
	}
	return v1alpha1.Conflict{}, false
}

// own lists all that this node has to report at a time, in a fixed order.
func (f *findings) own(now election.Time) []v1alpha1.Conflict {
	own := slices.Clone(f.kernel)
	for _, cs := range f.others {
		own = append(own, cs...)
	}
	for _, c := range f.former {
		if now > 0 && now < f.until && !slices.ContainsFunc(own, func(o v1alpha1.Conflict) bool { return sameConflict(o, c) }) {
			own = append(own, c)
		}
	}
	sortConflicts(own)
	return own[:min(len(own), maxConflicts)]
}

// sortConflicts puts those first that keep others from the address.
func sortConflicts(cs []v1alpha1.Conflict) {
	order := []string{v1alpha1.ReasonForeignHost, v1alpha1.ReasonOtherAnnouncer, v1alpha1.ReasonKernelAnswers, v1alpha1.ReasonProxyAnswers}
	slices.SortStableFunc(cs, func(a, b v1alpha1.Conflict) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.Reason), slices.Index(order, b.Reason)),
			cmp.Compare(a.Address, b.Address), cmp.Compare(a.Reporter, b.Reporter),
			cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.MAC, b.MAC),
		)
	})
}

// tellFindings has the status say what was found, if that is something else than before.
func (l *loop) tellFindings(r *reign) {
	if l.shadow || r.announcement == nil || slices.EqualFunc(r.findings.own(l.now()), r.findings.told, sameConflict) {
		return
	}
	l.putFindings(r)
}

func (l *loop) putFindings(r *reign) {
	f := &r.findings
	f.told = f.own(l.now())
	out := finding{uid: f.of, node: l.config.Node, probed: slices.Clone(f.probed), conflicts: slices.Clone(f.told)}
	if _, speaks := r.state.Voice(); speaks {
		out.nodes = []string{l.config.Node}
		for _, p := range l.peers {
			out.nodes = append(out.nodes, p.node)
		}
	}
	l.report.found(client.ObjectKeyFromObject(r.announcement), out)
}

// reviewFindings lets go what this node's agent before found and this one does not, and has the
// sysctls read again while a kernel answers because of them.
func (l *loop) reviewFindings(now election.Time) {
	if l.shadow {
		return
	}
	kernels := false
	for _, r := range l.reigns {
		f := &r.findings
		if len(f.former) > 0 && now >= f.until {
			f.former = nil
			l.guard(r, func() { l.tellFindings(r) })
		}
		kernels = kernels || len(f.kernel) > 0
	}
	if kernels && l.reread != nil && now >= l.rereadAt {
		l.rereadAt = now + rereadEvery
		l.reread()
	}
}
