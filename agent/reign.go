// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/sha256"
	"net/netip"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// reign is one Lease, the announcement it decides, and this node's election for it.
// Announcement and Lease come on two streams; either may be first.
type reign struct {
	name         string // of the Lease
	key          types.NamespacedName
	announcement *v1alpha1.VIPAnnouncement // nil: none
	object       *coordinationv1.Lease     // nil: none; as the watch brought it, for writes
	state        election.State

	speak *election.Speak // since it speaks
	when  metav1.Time
	at    []v1alpha1.SpokenAddress // as last reported
}

func newReign(name string, c election.Config) *reign {
	return &reign{name: name, state: election.State{Config: c}}
}

// empty tells whether nothing is left that could concern this node.
func (r *reign) empty() bool { return r.announcement == nil && r.object == nil }

// service is the object that Events are written on: the announcement's owner.
func (r *reign) service() *corev1.ObjectReference {
	ref := &corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: r.key.Namespace, Name: r.key.Name}
	if r.announcement != nil {
		if owner := metav1.GetControllerOf(r.announcement); owner != nil {
			ref.UID = owner.UID
		}
	}
	return ref
}

// policy gives the announcement as the election knows it.
func (r *reign) policy(node string, facts v1alpha1.Facts) election.Policy {
	a := r.announcement
	p := election.Policy{
		Candidates: a.Spec.Candidates,
		Excluded:   a.Spec.Excluded[node],
		MoveTo:     a.Spec.MoveTo,
	}
	if owner := metav1.GetControllerOf(a); owner != nil {
		p.ServiceUID = string(owner.UID)
	}
	if uid, transitions, err := a.Spec.Displace.Split(); err == nil {
		p.DisplaceUID, p.DisplaceTransitions = uid, transitions
	}
	for _, addr := range addresses(a) {
		p.Addresses = append(p.Addresses, addr)
		if len(facts.Choose(addr, a.Spec.Interfaces)) == 0 {
			p.Unservable = "no interface for " + addr.String() + " (has " + facts.Names() + ")"
		}
	}
	return p
}

// addresses reads the announcement's addresses; what admission let through is valid, and
// what is not is left out.
func addresses(a *v1alpha1.VIPAnnouncement) []netip.Addr {
	var out []netip.Addr
	for _, s := range a.Spec.Addresses {
		if addr, err := netip.ParseAddr(s.Address); err == nil {
			out = append(out, addr)
		}
	}
	return out
}

// entry is what a port's table says of one address of this reign.
func (r *reign) entry(addr netip.Addr) neighbor.Entry {
	e := neighbor.Entry{Addr: addr, Join: slices.Contains(r.announcement.Spec.Candidates, r.state.Config.Node)}
	epoch := r.state.Lease()
	if voice, ok := r.state.Voice(); ok {
		epoch, e.Voice, e.NeedsEcho, e.Standing = voice, true, r.state.NeedsEcho(), neighbor.StandingLease
	}
	e.LeaseUID, e.Transitions = leaseID(epoch.UID), uint32(epoch.Transitions)
	return e
}

// leaseID is a Lease's UID as marks carry it: UIDs are opaque, so it is a hash.
func leaseID(uid string) [16]byte {
	sum := sha256.Sum256([]byte(uid))
	return [16]byte(sum[:16])
}

// voice gives a marked sound as the election knows it.
func (r *reign) voice(h neighbor.Heard) election.Voice {
	v := election.Voice{MAC: h.MAC, Transitions: int32(h.Mark.Transitions)}
	if uid := r.state.Lease().UID; leaseID(uid) == h.Mark.LeaseUID {
		v.LeaseUID = uid
	}
	return v
}
