// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/agent/link"
	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
	"github.com/arpeggio-lb/arpeggio/agent/wire"
	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// rereadEvery is how often the sysctls are read while a kernel answers because of them.
	rereadEvery = 30 * time.Second
	// ipvsInterface is where kube-proxy in IPVS mode puts the addresses of Services.
	ipvsInterface = "kube-ipvs0"
)

// setLocals takes the addresses for which this node's kernel answers by itself.
func (l *loop) setLocals() {
	clear(l.locals)
	for _, x := range l.links.Locals {
		l.locals[x.Addr] = append(l.locals[x.Addr], x)
	}
	for _, r := range l.reigns {
		l.guard(r, func() { l.findKernel(r) })
	}
}

// findKernel finds whether this node's kernel answers for an address of the reign, on an interface
// that carries it. Who is no candidate leaves it to the others to be heard by.
func (l *loop) findKernel(r *reign) {
	if l.shadow || r.announcement == nil {
		return
	}
	var found []v1alpha1.Conflict
	_, speaks := r.state.Voice()
	if speaks || slices.Contains(r.announcement.Spec.Candidates, l.config.Node) {
		for _, c := range r.carried {
			for _, x := range l.locals[c.addr] {
				if k, ok := l.kernelConflict(c, x); ok {
					found = append(found, k)
				}
			}
		}
	}
	if slices.EqualFunc(found, r.findings.kernel, sameConflict) {
		return
	}
	for i, c := range found {
		if old, known := r.findings.known(c); known {
			found[i].Since = old.Since
			continue
		}
		l.events.record(kernelEvent(serviceOf(r.announcement), c))
		l.log.Info("the kernel answers", "lease", r.name, "address", c.Address, "interface", c.Interface)
	}
	r.findings.kernel = found
	l.tellFindings(r)
}

func (l *loop) kernelConflict(c carried, x link.Local) (v1alpha1.Conflict, bool) {
	for _, i := range c.on {
		if slices.Contains(x.On, i.Name) {
			return v1alpha1.Conflict{
				Address: c.addr.String(), MAC: i.MAC, Reporter: l.config.Node, Interface: x.Interface, Node: l.config.Node,
				Reason: v1alpha1.ReasonKernelAnswers, Since: metav1.Now().Rfc3339Copy(),
			}, true
		}
	}
	return v1alpha1.Conflict{}, false
}

// kernelsOf are the nodes whose kernel is known to answer.
func kernelsOf(cs []v1alpha1.Conflict) []string {
	var nodes []string
	for _, c := range cs {
		if c.Reason == v1alpha1.ReasonKernelAnswers && !slices.Contains(nodes, c.Node) {
			nodes = append(nodes, c.Node)
		}
	}
	return nodes
}

// kernelText says which kernel answers, and how that is ended.
func kernelText(c v1alpha1.Conflict) string {
	remedy := fmt.Sprintf("remove it: ip addr del %s dev %s", netip.PrefixFrom(addrOf(c.Address), addrOf(c.Address).BitLen()), c.Interface)
	if c.Interface == ipvsInterface {
		remedy = "set ipvs.strictARP: true in kube-proxy's configuration (net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2)"
	}
	return fmt.Sprintf("the kernel of node %s answers for %s itself, because %s has the address: two cards may answer, and clients reach either; %s",
		c.Node, c.Address, c.Interface, remedy)
}

func addrOf(text string) netip.Addr {
	addr, _ := netip.ParseAddr(text)
	return addr
}

// heardGateway learns the card of a gateway.
func (l *loop) heardGateway(h wire.Heard) {
	i := l.ports.links[h.Interface]
	if !slices.Contains(i.Gateways4, h.Addr) && !slices.Contains(i.Gateways6, h.Addr) {
		return
	}
	if l.gateways[h.Interface] == nil {
		l.gateways[h.Interface] = map[netip.Addr]neighbor.MAC{}
	}
	l.gateways[h.Interface][h.Addr] = h.MAC
}

// gatewaysFor are the cards of the gateways on an interface for an address's family, as far as
// they have answered.
func (l *loop) gatewaysFor(name string, addr netip.Addr) []neighbor.MAC {
	i := l.ports.links[name]
	of := i.Gateways6
	if addr.Is4() {
		of = i.Gateways4
	}
	var cards []neighbor.MAC
	for _, g := range of {
		if mac, ok := l.gateways[name][g]; ok {
			cards = append(cards, mac)
		}
	}
	return cards
}
