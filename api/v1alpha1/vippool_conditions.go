// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Ready is True when the pool can be used.
//
// Reasons for True: Ready.
// Reasons for False: InvalidAddresses (an entry of addresses or exclude cannot be
// read; the message names it and says what to write), AllocationDisabled (the pool is
// drained on request).
const (
	PoolReady = "Ready"

	ReasonPoolReady          = "Ready"
	ReasonInvalidAddresses   = "InvalidAddresses"
	ReasonAllocationDisabled = "AllocationDisabled"
)

// Overlapping is True when addresses of the pool are also somebody else's; these are
// never handed out, the others are.
//
// Reasons for True: OtherPool (the message names the pools and the common addresses),
// ServiceCIDR (a range of ClusterIPs), NodeAddress (an address of a node).
// Reasons for False: NoOverlap.
// Reasons for Unknown: InvalidAddresses (see Ready).
const (
	PoolOverlapping = "Overlapping"

	ReasonOverlapsPool        = "OtherPool"
	ReasonOverlapsServiceCIDR = "ServiceCIDR"
	ReasonOverlapsNode        = "NodeAddress"
	ReasonNoOverlap           = "NoOverlap"
)

// Exhausted is True when no address of one of the pool's families is left.
//
// Reasons for True: NoAddressLeft (the message names the family).
// Reasons for False: AddressesLeft.
// Reasons for Unknown: InvalidAddresses (see Ready).
const (
	PoolExhausted = "Exhausted"

	ReasonNoAddressLeft = "NoAddressLeft"
	ReasonAddressesLeft = "AddressesLeft"
)
