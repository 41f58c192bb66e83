// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/placement"
)

// Preference adds a weight to the nodes that a selector matches.
type Preference struct {
	Weight   int
	Selector labels.Selector
}

// View is what of the nodes matters to one Service.
type View struct {
	// Selectors of the policies that apply; all must match.
	Selectors []labels.Selector
	// Preferences of these policies.
	Preferences []Preference
	// Addresses of the Service, and the interfaces for them.
	Addresses []netip.Addr
	Patterns  []v1alpha1.InterfacePattern
	// Endpoints are the nodes with endpoints of the Service.
	Endpoints map[string]bool
}

// Nodes gives all nodes as one Service sees them, in no order.
func (r *Roster) Nodes(v View) []placement.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := make([]placement.Node, 0, len(r.nodes))
	for name, n := range r.nodes {
		_, excluded := n.labels[placement.ExcludeLabel]
		p := placement.Node{
			Name:               name,
			Selected:           true,
			ExcludedByLabel:    excluded,
			OutOfService:       n.outOfService,
			Drain:              n.drain,
			Cordoned:           n.cordoned,
			Zone:               n.labels[corev1.LabelTopologyZone],
			NetworkUnavailable: n.networkUnavailable,
			Endpoint:           v.Endpoints[name],
			Silent:             r.silent(name),
		}
		for _, s := range v.Selectors {
			p.Selected = p.Selected && s.Matches(n.labels)
		}
		for _, pref := range v.Preferences {
			if pref.Selector.Matches(n.labels) {
				p.Weight += pref.Weight
			}
		}
		if facts, ok := r.facts[v1alpha1.FactsLease(name)]; ok {
			p.Reported = true
			for _, i := range facts.Interfaces {
				p.Interfaces = append(p.Interfaces, i.Name)
			}
			for _, i := range facts.Named(v.Patterns) {
				p.Refused = append(p.Refused, i.String())
			}
			for _, a := range v.Addresses {
				p.Reaches = append(p.Reaches, len(facts.Choose(a, v.Patterns)) > 0)
			}
		}
		nodes = append(nodes, p)
	}
	return nodes
}
