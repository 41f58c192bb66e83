// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"maps"
	"slices"

	"github.com/arpeggio-lb/arpeggio/agent/forward"
)

// follower asks kube-proxy about Services; it does not block.
type follower interface {
	Want(ports ...int32)
	Hurry(ports ...int32)
}

// proxied is what this node's kube-proxy says: a node that speaks before it can forward is a
// black hole.
type proxied struct {
	asks  follower // nil: nobody is asked
	said  forward.Ready
	known bool
	stale bool // the ports that are wanted may have changed
	ports []int32
}

// ready tells whether this node forwards for a Service: by its health check port under
// externalTrafficPolicy Local, else as far as kube-proxy is healthy.
func (p *proxied) ready(port int32) bool {
	switch {
	case p.asks == nil:
		return true
	case port != 0:
		return p.said.Ports[port]
	default:
		return p.known && p.said.Proxy
	}
}

// want follows the ports of all Services that this node may speak for.
func (l *loop) want() {
	if l.proxied.asks == nil || !l.proxied.stale {
		return
	}
	l.proxied.stale = false
	ports := map[int32]bool{}
	for _, r := range l.reigns {
		if a := r.announcement; a != nil && a.Spec.HealthCheckNodePort != 0 && slices.Contains(a.Spec.Candidates, l.config.Node) {
			ports[a.Spec.HealthCheckNodePort] = true
		}
	}
	if sorted := slices.Sorted(maps.Keys(ports)); !slices.Equal(sorted, l.proxied.ports) {
		l.proxied.ports = sorted
		l.proxied.asks.Want(sorted...)
	}
}

// said takes what kube-proxy said, and tells the elections for which it matters.
func (l *loop) said(in forward.Ready) {
	was := l.proxied
	l.proxied.said, l.proxied.known = in, true
	for _, r := range l.reigns {
		if a := r.announcement; a != nil && was.ready(a.Spec.HealthCheckNodePort) != l.proxied.ready(a.Spec.HealthCheckNodePort) {
			l.stepPolicy(r)
		}
	}
}

// newFollower asks kube-proxy on this node's addresses: it listens for health checks on those
// that the node has in the API.
func newFollower(o Options, answered bool, put func(input)) *forward.Follower {
	return forward.New(forward.Config{
		HealthURL: o.KubeProxyHealthURL, Answered: answered, Addresses: o.NodeIPs,
		Put: func(r forward.Ready) { put(proxySaid{r}) },
	})
}
