// SPDX-License-Identifier: Apache-2.0

package agent

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/forward"
	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/lock"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// input is something that happened outside the loop.
type input interface{ input() }

type (
	leaseChanged struct {
		name  string
		lease *coordinationv1.Lease // nil: deleted
	}
	announcementChanged struct {
		key          types.NamespacedName
		announcement *v1alpha1.VIPAnnouncement // nil: deleted
	}
	linksChanged struct{ links link.Snapshot }
	beatSent     struct {
		stamp metav1.MicroTime
		at    election.Time
	}
	// answer is what came of an action of one election.
	answer struct {
		to     *reign
		life   int                   // of the reign that asked
		object *coordinationv1.Lease // as read or written; nil: not
		event  election.Event        // nil: the object is all
	}
	// peerRead is what came of reading another node's heartbeat; ok is false: nothing did.
	peerRead struct {
		beat election.PeerBeat
		ok   bool
	}
	leave struct{}
	// voiceHeld says that this process holds the lock of the node's voice: it may speak.
	voiceHeld struct{ inheritance *lock.Inheritance }
	proxySaid struct{ ready forward.Ready }
	// bequest asks for what is spoken for, to be handed on.
	bequest struct{ reply chan<- lock.Inheritance }
)

func (leaseChanged) input()        {}
func (announcementChanged) input() {}
func (linksChanged) input()        {}
func (beatSent) input()            {}
func (answer) input()              {}
func (peerRead) input()            {}
func (leave) input()               {}
func (voiceHeld) input()           {}
func (bequest) input()             {}
func (proxySaid) input()           {}
