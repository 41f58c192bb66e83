// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/agent/lease"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// list has the node's watches list all there is.
func (w *world) list(m *machine) {
	for n := range m.known {
		if w.leases[n] == nil {
			m.watch <- leaseChanged{name: n}
		}
	}
	own := v1alpha1.NodeLease(m.name)
	for _, n := range slices.Sorted(maps.Keys(w.leases)) {
		if n != own {
			m.watch <- leaseChanged{name: n, lease: w.leases[n].DeepCopy()}
		}
		m.known[n] = true
	}
	for key, a := range w.announcements {
		m.watch <- announcementChanged{key: key, announcement: a.DeepCopy()}
	}
	if l := w.leases[own]; l != nil {
		m.watch <- leaseChanged{name: own, lease: l.DeepCopy()}
	}
}

func (m *machine) writeBeat() {
	stamp := metav1.NowMicro()
	m.loop.beatSent(stamp, m.world.segment.Clock())
	m.mu.Lock()
	notes := map[string]string{v1alpha1.AnnotationLeaving: strconv.FormatBool(m.leaving)}
	m.mu.Unlock()
	m.world.write(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: v1alpha1.NodeLease(m.name), Annotations: notes,
			Labels: map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchNode(m.name)},
		},
		Spec: coordinationv1.LeaseSpec{RenewTime: &stamp},
	})
}

// write creates or replaces a Lease, and tells those whose watch it concerns.
func (w *world) write(l *coordinationv1.Lease) *coordinationv1.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writeLocked(l)
}

func (w *world) writeLocked(l *coordinationv1.Lease) *coordinationv1.Lease {
	w.version++
	l = l.DeepCopy()
	l.ResourceVersion = strconv.Itoa(w.version)
	l.UID = types.UID("uid-" + strconv.Itoa(w.version))
	if old := w.leases[l.Name]; old != nil {
		l.UID = old.UID
	}
	w.leases[l.Name] = l
	w.tell(leaseChanged{name: l.Name, lease: l})
	return l.DeepCopy()
}

// remove deletes a Lease.
func (w *world) remove(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.leases, name)
	w.tell(leaseChanged{name: name})
}

func (w *world) tell(in input) {
	for _, m := range w.nodes {
		if m.away() == nil {
			if l, ok := in.(leaseChanged); ok && l.lease != nil {
				in = leaseChanged{name: l.name, lease: l.lease.DeepCopy()}
				m.known[l.name] = true
			}
			m.watch <- in
		}
	}
}

// Read, Swap and ReadBeat are the node's calls.
func (m *machine) Read(ctx context.Context, name string) (*coordinationv1.Lease, error) {
	time.Sleep(latency)
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	return m.world.leases[name].DeepCopy(), cmp.Or(m.away(), ctx.Err())
}

// Swap compares UID and resourceVersion, as the API server does.
func (m *machine) Swap(ctx context.Context, seen *coordinationv1.Lease, holder string, transitions int32) (*coordinationv1.Lease, error) {
	time.Sleep(latency)
	if err := cmp.Or(m.away(), ctx.Err()); err != nil {
		return nil, err
	}
	w := m.world
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.leases[seen.Name]
	if now == nil || now.UID != seen.UID || now.ResourceVersion != seen.ResourceVersion {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, seen.Name, nil)
	}
	w.swaps++
	l := seen.DeepCopy()
	l.Spec.HolderIdentity, l.Spec.LeaseTransitions = &holder, &transitions
	return w.writeLocked(l), nil
}

// ReadBeat reads another node's heartbeat.
func (m *machine) ReadBeat(ctx context.Context, node string) (lease.Beat, error) {
	l, err := m.Read(ctx, v1alpha1.NodeLease(node))
	if l == nil || err != nil {
		return lease.Beat{}, err
	}
	return lease.Beat{Seen: l.ResourceVersion, Leaving: l.Annotations[v1alpha1.AnnotationLeaving] == "true"}, nil
}

// announce makes a Service's Lease and announcement, as the manager does.
func (w *world) announce(name string, candidates ...string) types.NamespacedName {
	w.lease(name)
	return w.publish(name, func(s *v1alpha1.VIPAnnouncementSpec) { s.Candidates = candidates })
}

// lease makes a Service's Lease.
func (w *world) lease(name string) *coordinationv1.Lease {
	return w.write(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name:        v1alpha1.ServiceLease("default", name),
		Labels:      map[string]string{v1alpha1.LabelWatch: v1alpha1.WatchService},
		Annotations: map[string]string{v1alpha1.AnnotationServiceUID: "service " + name},
	}})
}

// publish writes a Service's announcement: the one that is there, changed.
func (w *world) publish(name string, change func(*v1alpha1.VIPAnnouncementSpec)) types.NamespacedName {
	key := types.NamespacedName{Namespace: "default", Name: name}
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.announcements[key]
	if a == nil {
		w.version++
		a = &v1alpha1.VIPAnnouncement{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: key.Namespace, Name: key.Name, UID: types.UID("announcement " + strconv.Itoa(w.version)),
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(
					&metav1.ObjectMeta{Name: name, UID: types.UID("service " + name)}, schema.GroupVersionKind{Version: "v1", Kind: "Service"})},
			},
			Spec: v1alpha1.VIPAnnouncementSpec{
				LeaseName: v1alpha1.ServiceLease("default", name),
				Addresses: []v1alpha1.AnnouncedAddress{{Address: vip4}, {Address: vip6}},
			},
		}
		w.announcements[key] = a
	}
	change(&a.Spec)
	for _, x := range a.Spec.Addresses {
		if !w.unprobed {
			addProbed(&a.Status, x.Address)
		}
	}
	w.tell(announcementChanged{key: key, announcement: a.DeepCopy()})
	return key
}

// withdraw deletes an announcement.
func (w *world) withdraw(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.announcements, key)
	w.tell(announcementChanged{key: key})
}

func (w *world) status(key types.NamespacedName) v1alpha1.VIPAnnouncementStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.announcements[key].Status.DeepCopy()
}

func (w *world) holder(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.leases[v1alpha1.ServiceLease("default", name)]
	if l == nil || l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}
