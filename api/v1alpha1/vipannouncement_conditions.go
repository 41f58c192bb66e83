// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Announced is True while a node speaks for the addresses. The speaking agent writes it;
// the manager writes it while nobody holds the Lease.
//
// Reasons for True: Speaking (the message names the node and how it came to speak).
// Reasons for False: AllocationFailed (the Service has no address; the message says why
// and what to do), NoEligibleNode (no node may speak; the message says why, node by
// node), Withdrawn (the speaker gave the addresses up and nobody took them),
// NoInterface (the holder has no interface on which it could speak).
// Reasons for Unknown: Pending (nodes may speak, none has begun to).
const (
	Announced = "Announced"

	ReasonSpeaking         = "Speaking"
	ReasonAllocationFailed = "AllocationFailed"
	ReasonNoEligibleNode   = "NoEligibleNode"
	ReasonWithdrawn        = "Withdrawn"
	ReasonNoInterface      = "NoInterface"
	ReasonPending          = "Pending"
)

// Reasons of the Events on a Service. AllocationFailed and NoEligibleNode are also
// reasons of the condition Announced.
const (
	EventAddressAllocated = "AddressAllocated"
	EventVIPAnnounced     = "VIPAnnounced"
	EventVIPHandedOver    = "VIPHandedOver"
	EventVIPWithdrawn     = "VIPWithdrawn"
)
