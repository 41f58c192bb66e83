// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// LoadBalancerClass is the spec.loadBalancerClass of Services that are Arpeggio's in
// any case; Services without a class are so by default.
const LoadBalancerClass = "arpeggio.dev/vip"

// Annotations that users put on Services.
const (
	// AnnotationAddresses asks for addresses, separated by commas, at most one a family.
	// On a VIPAnnouncement it repeats spec.addresses for the printed columns.
	AnnotationAddresses = "arpeggio.dev/addresses"
	// AnnotationPool asks for a VIPPool by name.
	AnnotationPool = "arpeggio.dev/pool"
)

// AnnotationDrain on a Node moves the VIPs away from it, by handover, and keeps them away;
// its value is told as the reason. Empty and "false" mean nothing.
const AnnotationDrain = "arpeggio.dev/drain"

// Annotations and labels on objects that Arpeggio makes.
const (
	// AnnotationServiceUID is the UID of the Service for which a Lease or an IPAddress
	// was made.
	AnnotationServiceUID = "arpeggio.dev/service-uid"
	// AnnotationCandidates holds the nodes that may take a Lease, separated by commas.
	AnnotationCandidates = "arpeggio.dev/candidates"
	// AnnotationIncarnation is the UID of the agent's pod (outside a cluster a random
	// one), on its node Lease.
	AnnotationIncarnation = "arpeggio.dev/incarnation"
	// AnnotationAdopted is "true" on the IPAddress of an address that its Service showed before
	// it was claimed: the Service brought it along, so it is never replaced by another.
	AnnotationAdopted = "arpeggio.dev/adopted"
	// AnnotationSetAsideMAC and AnnotationSetAsideSince say of an IPAddress with LabelSetAside
	// which card uses the address, and since when it is set aside (RFC 3339). Its parentRef
	// names the Service that had it.
	AnnotationSetAsideMAC   = "arpeggio.dev/set-aside-mac"
	AnnotationSetAsideSince = "arpeggio.dev/set-aside-since"
	// AnnotationLeaving is "true" on the node Lease of an agent that is shutting down.
	AnnotationLeaving = "arpeggio.dev/leaving"
	// AnnotationFacts is the Facts of a node, in JSON, on its facts Lease.
	AnnotationFacts = "arpeggio.dev/facts"

	// LabelWatch is on every Lease of Arpeggio: WatchService, WatchFacts, or
	// WatchNode(node) on a heartbeat, so that one watch brings an agent all it needs and
	// no other node's heartbeats.
	LabelWatch = "arpeggio.dev/watch"
	// LabelPool is the VIPPool of an IPAddress.
	LabelPool = "arpeggio.dev/pool"
	// LabelSetAside is on the IPAddress of an address that another host uses: SetAsideReplaced
	// when nobody has it for an hour and its Service got another one, SetAsideYielded when it
	// is still its Service's and is not announced for a minute. Whoever knows that the host is
	// gone may delete an IPAddress that is SetAsideReplaced: the address is free then.
	LabelSetAside = "arpeggio.dev/set-aside"
	// LabelManagedBy and ManagedBy mark what Arpeggio made.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "arpeggio"

	SetAsideReplaced = "replaced"
	SetAsideYielded  = "yielded"

	WatchService = "service"
	WatchFacts   = "facts"
)

const (
	maxName  = 253 // of an object, RFC 1123 subdomain
	maxLabel = 63  // of a label's value
)

// ServiceLease is the name of the Lease of a Service.
func ServiceLease(namespace, name string) string {
	return bounded("svc.", namespace+"."+name, maxName)
}

// NodeLease is the name of a node's heartbeat Lease.
func NodeLease(node string) string { return bounded("node.", node, maxName) }

// FactsLease is the name of the Lease that carries a node's Facts.
func FactsLease(node string) string { return bounded("facts.", node, maxName) }

// WatchNode is the value of LabelWatch on a node's heartbeat Lease. No node can be called
// so that it meets WatchService or WatchFacts.
func WatchNode(node string) string { return bounded("node.", node, maxLabel) }

// bounded joins prefix and rest; what would be longer than limit is replaced by a hash
// of the whole rest.
func bounded(prefix, rest string, limit int) string {
	if len(prefix)+len(rest) <= limit {
		return prefix + rest
	}
	sum := sha256.Sum256([]byte(rest))
	return prefix + hex.EncodeToString(sum[:16])
}

// NewEpoch is the epoch of a Lease with this UID and these leaseTransitions.
func NewEpoch(leaseUID string, transitions int32) Epoch {
	return Epoch(leaseUID + "/" + strconv.FormatInt(int64(transitions), 10))
}

// Split gives the parts of an epoch; an error names what is wrong with it.
func (e Epoch) Split() (leaseUID string, transitions int32, err error) {
	uid, n, ok := strings.Cut(string(e), "/")
	t, perr := strconv.ParseInt(n, 10, 32)
	if !ok || perr != nil || uid == "" || t < 0 {
		return "", 0, fmt.Errorf("epoch %q: want <Lease UID>/<transitions>", string(e))
	}
	return uid, int32(t), nil
}
