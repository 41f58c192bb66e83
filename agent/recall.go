// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/arpeggio-lb/arpeggio/agent/election"
	"github.com/arpeggio-lb/arpeggio/agent/memory"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// recallAfter is how long a start waits for the API server before it goes by what is on disk.
const recallAfter = 2 * time.Second

// keeper takes what is to be kept on disk; it does not block.
type keeper interface {
	Touch()
	Due() bool
	Put(s memory.Snapshot)
}

// recollection is what this node knew when it ended, and what of it the API server has not
// confirmed.
type recollection struct {
	from          memory.Snapshot
	synced        func() bool // the API server's lists are here; nil: nothing is recalled
	at            election.Time
	used          bool
	announcements map[types.NamespacedName]bool // recalled, not confirmed
}

// keep hands what this node knows to the keeper, when that is due.
func (l *loop) keep() {
	if l.keeper == nil || !l.keeper.Due() {
		return
	}
	s := memory.Snapshot{Node: l.config.Node, Installation: l.installation, ProxyAnswered: l.proxied.said.Answered}
	for _, name := range slices.Sorted(maps.Keys(l.reigns)) {
		r := l.reigns[name]
		if r.object != nil {
			s.Leases = append(s.Leases, r.object)
		}
		for _, a := range r.claims {
			s.Announcements = append(s.Announcements, a)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.peers)) {
		s.Leases = append(s.Leases, l.peers[name].object)
	}
	l.keeper.Put(s)
}

// touch says that what is kept has changed.
func (l *loop) touch() {
	if l.keeper != nil {
		l.keeper.Touch()
	}
}

// recall goes by what is on disk while the API server does not answer, and forgets what it
// does not confirm once it does.
func (l *loop) recall(now election.Time) {
	m := &l.memory
	switch {
	case m.synced == nil:
	case m.synced():
		if len(l.in) > 0 {
			return // the lists may still wait there
		}
		if m.used {
			l.forget()
		}
		*m = recollection{}
	case m.at == 0:
		m.at = now + recallAfter
	case now >= m.at && !m.used:
		m.used, m.announcements = true, map[types.NamespacedName]bool{}
		l.remember(m.from)
		m.from = memory.Snapshot{}
	}
}

func (l *loop) remember(s memory.Snapshot) {
	if len(s.Announcements) > 0 {
		l.log.Info("the API server does not answer: going by what was known before", "announcements", len(s.Announcements))
	}
	for _, o := range s.Leases {
		switch o.Labels[v1alpha1.LabelWatch] {
		case v1alpha1.WatchFacts:
			if f, err := v1alpha1.ParseFacts(o.Annotations[v1alpha1.AnnotationFacts]); err == nil && l.peers[o.Name].object == nil {
				l.peers[o.Name] = peerFacts{Facts: f, node: ptr.Deref(o.Spec.HolderIdentity, ""), object: o}
			}
		case v1alpha1.WatchService:
			if r := l.reign(o.Name); r.object == nil {
				r.object, r.recalled = o, true
			}
		}
	}
	l.recard()
	for _, a := range s.Announcements {
		key := client.ObjectKeyFromObject(a)
		if _, known := l.leaseOf[key]; !known {
			l.memory.announcements[key] = true
			l.reign(a.Spec.LeaseName).clearAll(a) // what is on disk was announced
			l.setAnnouncement(announcementChanged{key: key, announcement: a})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.reigns)) {
		if r := l.reigns[name]; r.recalled {
			l.start(r)
		}
	}
}

// forget drops what the API server has not confirmed.
func (l *loop) forget() {
	for key := range l.memory.announcements {
		l.setAnnouncement(announcementChanged{key: key})
	}
	for _, name := range slices.Sorted(maps.Keys(l.reigns)) {
		if l.reigns[name].recalled {
			l.leaseGone(name)
		}
	}
}
