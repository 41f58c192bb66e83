// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/sha256"
	"net/netip"
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// reign is one Lease, the announcement it decides, and this node's election for it.
// Announcement and Lease come on two streams; either may be first.
type reign struct {
	name   string                                             // of the Lease
	claims map[types.NamespacedName]*v1alpha1.VIPAnnouncement // that name this Lease
	object *coordinationv1.Lease                              // as the watch brought it; nil: none
	read   *coordinationv1.Lease                              // as an own read or write brought it last

	recalled bool // object is from disk

	announcement *v1alpha1.VIPAnnouncement // of the claims, the one that counts
	carried      []carried                 // its addresses
	used         int                       // how many of them may be spoken for
	cleared      map[netip.Addr]bool       // those that were found free, or spoken for
	findings     findings                  // of others who use them

	state   election.State
	life    int               // counts the starts of state
	skipped *election.Time    // after a panic, until when; nil: not
	follows []election.Follow // as last wanted
	due     election.Time     // when it wants to be stepped, as wakes has it
	slot    int               // in wakes; -1: not there
	speech  *speech           // while it speaks
	changed bool              // is in loop.changed
	entries []entry           // as last published
	seen    part              // as the detector was last told
	deafAt  election.Time     // when it was last handed over as broadcasts do not reach this node

	overtaken chan struct{} // closed once the write that waits for its turn is pointless; nil: none waits

	overseen oversight // as the watch for others was last told

	uid string // of a Lease
	id  [16]byte
}

// carried is an address and the interfaces of this node that carry it.
type carried struct {
	addr netip.Addr
	on   []v1alpha1.InterfaceFacts
	// held: nobody may speak for it before it was found free.
	held   bool
	ping   bool
	yields bool // to others who claim it
	// thorough is whether it is probed at the full pace.
	thorough bool
}

// entry is an address in the tables of some interfaces.
type entry struct {
	neighbor.Entry

	on []v1alpha1.InterfaceFacts
}

// speech is what is known of a voice for those who are told of it: it outlives the
// objects it came from.
type speech struct {
	election.Speak

	key     types.NamespacedName
	uid     types.UID // of the announcement
	service corev1.ObjectReference
	when    metav1.Time
	began   v1alpha1.Epoch
	epoch   election.Lease
	at      []v1alpha1.SpokenAddress // as last reported; nil: not yet
	watched watched
}

func newReign(name string) *reign {
	return &reign{name: name, claims: map[types.NamespacedName]*v1alpha1.VIPAnnouncement{}, slot: -1}
}

// counts gives the announcement that counts: that of the Service for which the Lease was
// made, else the first by name; nil: none.
func (r *reign) counts() *v1alpha1.VIPAnnouncement {
	var first *v1alpha1.VIPAnnouncement
	for _, a := range r.claims {
		if owner := metav1.GetControllerOf(a); owner != nil && r.object != nil &&
			string(owner.UID) == r.object.Annotations[v1alpha1.AnnotationServiceUID] {
			return a
		}
		if first == nil || a.Namespace+"/"+a.Name < first.Namespace+"/"+first.Name {
			first = a
		}
	}
	return first
}

// same tells whether two announcements say the same to an election. Most of what the watch
// brings are statuses.
func same(a, b *v1alpha1.VIPAnnouncement) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a == b || a.UID == b.UID && a.Namespace == b.Namespace && a.Name == b.Name &&
		equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

// serviceOf is the object that Events are written on: the announcement's owner.
func serviceOf(a *v1alpha1.VIPAnnouncement) corev1.ObjectReference {
	ref := corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: a.Namespace, Name: a.Name}
	if owner := metav1.GetControllerOf(a); owner != nil {
		ref.UID = owner.UID
	}
	return ref
}

// carry finds the interfaces for the announcement's addresses. What admission let through
// is valid, and what is not is left out.
func (r *reign) carry(facts v1alpha1.Facts) {
	r.carried, r.used = nil, 0
	r.clear()
	if r.announcement == nil {
		return
	}
	for _, s := range r.announcement.Spec.Addresses {
		addr, err := netip.ParseAddr(s.Address)
		if err != nil {
			continue
		}
		c := carried{
			addr: addr, on: facts.Choose(addr, r.announcement.Spec.Interfaces), held: !r.cleared[addr],
			ping: s.Ping == v1alpha1.Enabled, yields: s.ConflictPolicy == v1alpha1.YieldAddress,
			thorough: s.Probing == v1alpha1.FullProbing,
		}
		if !c.held {
			r.used++
		}
		r.carried = append(r.carried, c)
	}
	r.findings.probed = slices.DeleteFunc(r.findings.probed, func(addr string) bool { // it may come back as somebody else's
		return !slices.ContainsFunc(r.announcement.Spec.Addresses, func(s v1alpha1.AnnouncedAddress) bool { return s.Address == addr })
	})
}

// carriedOn tells whether an address of the reign is on one of these interfaces.
func (r *reign) carriedOn(names []string) bool {
	return slices.ContainsFunc(r.carried, func(c carried) bool {
		return slices.ContainsFunc(c.on, func(i v1alpha1.InterfaceFacts) bool { return slices.Contains(names, i.Name) })
	})
}

// trouble tells why an interface is of no use; empty: it is.
type trouble func(name string, patient bool) string

// policy gives the announcement as the election knows it.
func (r *reign) policy(node string, facts v1alpha1.Facts, trouble trouble) election.Policy {
	a := r.announcement
	p := election.Policy{
		Candidates: a.Spec.Candidates,
		Excluded:   a.Spec.Excluded[node],
		MoveTo:     a.Spec.MoveTo,
	}
	if p.MoveTo == "" && r.speech != nil {
		p.MoveTo = r.speech.watched.moveTo
	}
	if owner := metav1.GetControllerOf(a); owner != nil {
		p.ServiceUID = string(owner.UID)
	}
	if uid, transitions, err := a.Spec.Displace.Split(); err == nil {
		p.DisplaceUID, p.DisplaceTransitions = uid, transitions
	}
	for _, c := range r.carried {
		if c.held {
			continue
		}
		p.Addresses = append(p.Addresses, c.addr)
		if why := c.unusable(facts, trouble, r.state.Lease().Holder == node); why != "" {
			p.Unservable = why
		} else {
			p.Servable = append(p.Servable, c.addr)
		}
	}
	return p
}

// unusable tells why no interface can carry the address; empty: one can.
func (c carried) unusable(facts v1alpha1.Facts, trouble trouble, patient bool) string {
	why := "no interface for " + c.addr.String() + " (has " + facts.Names() + ")"
	for _, i := range c.on {
		t := trouble(i.Name, patient)
		if t == "" {
			return ""
		}
		why = t
	}
	return why
}

// spoken lists the addresses and the cards that answer for them.
func (r *reign) spoken(trouble trouble) []v1alpha1.SpokenAddress {
	var out []v1alpha1.SpokenAddress
	for _, c := range r.carried {
		for _, i := range c.on {
			if !c.held && trouble(i.Name, true) == "" {
				out = append(out, v1alpha1.SpokenAddress{Address: c.addr.String(), Interface: i.Name, MAC: i.MAC})
			}
		}
	}
	return out
}

// precedes tells which of two reigns with a common address is heard on the wire.
func (r *reign) precedes(o *reign) bool {
	_, mine := r.state.Voice()
	_, other := o.state.Voice()
	if mine != other {
		return mine
	}
	return r.name < o.name
}

// table is what the ports' tables say of this reign's addresses.
func (r *reign) table() []entry {
	if r.announcement == nil {
		return nil
	}
	e := neighbor.Entry{Join: slices.Contains(r.announcement.Spec.Candidates, r.state.Config.Node)}
	epoch := r.state.Lease()
	if voice, ok := r.state.Voice(); ok {
		epoch, e.Voice, e.Muted, e.NeedsEcho = voice, true, r.state.Muted(), r.state.NeedsEcho()
		e.Standing = neighbor.Standing(r.state.Standing())
	}
	e.LeaseUID, e.Transitions = r.leaseID(epoch.UID), uint32(epoch.Transitions)
	entries := make([]entry, 0, len(r.carried))
	for _, c := range r.carried {
		of := e
		of.Addr, of.Ping, of.Voice = c.addr, c.ping, e.Voice && !c.held
		entries = append(entries, entry{Entry: of, on: c.on})
	}
	return entries
}

// leaseID is a Lease's UID as marks carry it: UIDs are opaque, so it is a hash.
func (r *reign) leaseID(uid string) [16]byte {
	if r.uid != uid || r.id == [16]byte{} {
		sum := sha256.Sum256([]byte(uid))
		r.uid, r.id = uid, [16]byte(sum[:16])
	}
	return r.id
}

// version finds the Lease as the election saw it, for a write over it; nil: it is known
// no more.
func (r *reign) version(l election.Lease) *coordinationv1.Lease {
	for _, o := range []*coordinationv1.Lease{r.object, r.read} {
		if o != nil && string(o.UID) == l.UID && o.ResourceVersion == l.ResourceVersion {
			return o
		}
	}
	return nil
}

// queue gives what tells the next write, while it waits for its turn, that it was overtaken.
func (r *reign) queue() <-chan struct{} {
	r.overtaken = make(chan struct{})
	return r.overtaken
}

// overtake gives up a write that still waits for its turn: the Lease is another by now, or another
// node was heard to speak.
func (r *reign) overtake() {
	if r.overtaken != nil {
		close(r.overtaken)
		r.overtaken = nil
	}
}
