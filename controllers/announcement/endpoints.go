// SPDX-License-Identifier: Apache-2.0

package announcement

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// indexService finds the EndpointSlices of a Service.
const indexService = "service"

// endpoints is what the EndpointSlices of a Service say.
type endpoints struct {
	// nodes with ready endpoints; if there are none, those with endpoints that are going but
	// still serve, as kube-proxy does (KEP-1669).
	nodes map[string]bool
	// ready endpoints, and how many of them do not say where they are.
	ready, nameless int
	// print changes when the set of ready endpoints does.
	print uint64
}

// endpoints reads the EndpointSlices of a Service.
func (r *Reconciler) endpoints(ctx context.Context, s *corev1.Service) (endpoints, error) {
	var list discoveryv1.EndpointSliceList
	if err := r.client.List(ctx, &list, client.InNamespace(s.Namespace), client.MatchingFields{indexService: s.Name}, client.UnsafeDisableDeepCopy); err != nil {
		return endpoints{}, fmt.Errorf("listing the EndpointSlices: %w", err)
	}
	return readEndpoints(list.Items), nil
}

// readEndpoints reads EndpointSlices, in whatever order.
func readEndpoints(list []discoveryv1.EndpointSlice) endpoints {
	var out endpoints
	ready, serving := map[string]bool{}, map[string]bool{}
	var names []string
	is := func(b *bool, unset bool) bool {
		if b == nil {
			return unset
		}
		return *b
	}
	for _, slice := range list {
		for _, e := range slice.Endpoints {
			node := ""
			if e.NodeName != nil {
				node = *e.NodeName
			}
			switch c := e.Conditions; {
			case is(c.Ready, true):
				out.ready++
				names = append(names, fmt.Sprint(e.Addresses, node))
				if node == "" {
					out.nameless++
				} else {
					ready[node] = true
				}
			case is(c.Serving, false) && is(c.Terminating, false) && node != "":
				serving[node] = true
			}
		}
	}
	out.nodes = ready
	if len(ready) == 0 {
		out.nodes = serving
	}
	// An endpoint may stand in two slices for a moment while it is moved.
	slices.Sort(names)
	h := fnv.New64a()
	for _, n := range slices.Compact(names) {
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(n))))
		_, _ = h.Write([]byte(n))
	}
	out.print = h.Sum64()
	return out
}
