// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Announced is True while a node speaks for the addresses. The speaking agent writes it;
// the manager writes it while nobody holds the Lease.
//
// Reasons for True: Speaking (the message names the node and how it came to speak).
// Reasons for False: AllocationFailed (the Service has no address; the message says why
// and what to do), NoEligibleNode (no node may speak; the message says why, node by
// node), Withdrawn (the speaker gave the addresses up and nobody took them),
// NoInterface (the holder has no interface on which it could speak), Yielded (another host
// uses the address, and its pool's conflictPolicy is Yield; the message says until when).
// Reasons for Unknown: Pending (nodes may speak, none has begun to).
const (
	Announced = "Announced"

	ReasonSpeaking         = "Speaking"
	ReasonAllocationFailed = "AllocationFailed"
	ReasonNoEligibleNode   = "NoEligibleNode"
	ReasonWithdrawn        = "Withdrawn"
	ReasonNoInterface      = "NoInterface"
	ReasonYielded          = "Yielded"
	ReasonPending          = "Pending"
)

// Watched is True while other nodes hear the speaker on the wire, so that one of them takes
// over within a second when it goes. While it is False, they take over by its heartbeat,
// which takes 6 to 10 s. The speaking agent writes it.
//
// Reasons for True: Heard.
// Reasons for False: NoStandby (no other node may take over), NotAsked (no other node is heard
// on the wire: isolated ports, or a fabric that answers in the nodes' place), NotHeard (the
// others ask, and do not hear the answers), BroadcastsLost (they hear the answers to what they ask
// of the speaker alone, and none to what they ask of all; it hands over), MarksLost (they hear them without the marks by
// which agents know each other).
const (
	Watched = "Watched"

	ReasonHeard     = "Heard"
	ReasonNoStandby = "NoStandby"
	ReasonNotAsked  = "NotAsked"
	ReasonNotHeard  = "NotHeard"
	ReasonMarksLost = "MarksLost"

	ReasonBroadcastsLost = "BroadcastsLost"
)

// Serving is there under externalTrafficPolicy Local only. It is False while a node may
// well speak for the addresses, and no node could forward what arrives. The manager writes
// it.
//
// Reasons for True: EndpointsReady.
// Reasons for False: NoEndpoint (no endpoint with the name of a node is ready, nor serving
// while it terminates).
const (
	Serving = "Serving"

	ReasonEndpointsReady = "EndpointsReady"
	ReasonNoEndpoint     = "NoEndpoint"
)

// EndpointsNameless is True under externalTrafficPolicy Local when ready endpoints do not
// say on which node they are: kube-proxy takes them for remote ones on every node, and
// drops what comes from outside for them. It is absent otherwise. The manager writes it.
//
// Reasons for True: NodeNameMissing (the message says how many).
const (
	EndpointsNameless = "EndpointsNameless"

	ReasonNodeNameMissing = "NodeNameMissing"
)

// AddressUnserved is True when nobody speaks for an address of the Service on purpose; the
// message names the address. It is absent otherwise. The manager writes it.
//
// Reasons for True: NoCommonCandidate (no node can speak for both addresses, and the
// preferred one speaks for one), CommonCandidateSilent (those that could are not heard),
// AddressYielded (another host uses the address, and its pool's conflictPolicy is Yield; the
// message says which, and until when).
const (
	AddressUnserved = "AddressUnserved"

	ReasonNoCommonCandidate     = "NoCommonCandidate"
	ReasonCommonCandidateSilent = "CommonCandidateSilent"
	ReasonAddressYielded        = "AddressYielded"
)

// AddressConflict is True while somebody else uses an address of the Service: the message
// names the address, the MAC and what was done. It is absent otherwise. The node that heard it
// writes it; status.conflicts has the details.
//
// Reasons for True: ForeignHost (a host that is no node of the cluster), ProxyAnswers (a device
// that answers for everything, found out by a question for addresses that nobody has),
// OtherAnnouncer (a node's card, without the mark of an agent: another load balancer there, or
// that node's kernel).
const (
	AddressConflict = "AddressConflict"

	ReasonForeignHost    = "ForeignHost"
	ReasonProxyAnswers   = "ProxyAnswers"
	ReasonOtherAnnouncer = "OtherAnnouncer"
)

// KernelAnswers is True while the kernel of a node answers for an address itself, as it is on
// one of its interfaces: left behind there, or put there by kube-proxy in IPVS mode without
// strictARP. The message names node, interface and remedy. It is absent otherwise. That
// node's agent writes it.
//
// Reasons for True: KernelAnswers.
const (
	KernelAnswers = "KernelAnswers"

	ReasonKernelAnswers = "KernelAnswers"
)

// Reasons of the Events on a Service. AllocationFailed and NoEligibleNode are also
// reasons of the condition Announced.
const (
	EventAddressAllocated = "AddressAllocated"
	EventVIPAnnounced     = "VIPAnnounced"
	EventVIPHandedOver    = "VIPHandedOver"
	EventVIPWithdrawn     = "VIPWithdrawn"
	EventVIPDisplaced     = "VIPDisplaced"

	EventAddressConflict = "AddressConflict"
	EventAddressSetAside = "AddressSetAside"
	EventKernelAnswers   = "KernelAnswers"
)

// Reasons of the Events on the Namespace of the installation: the manager has stopped to
// write announcements because it does not believe what it sees, and has begun again.
const (
	EventViewDoubted  = "ViewDoubted"
	EventViewBelieved = "ViewBelieved"
)
