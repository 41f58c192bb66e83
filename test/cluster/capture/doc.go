// SPDX-License-Identifier: Apache-2.0

// Package capture tells who answers for which address on a LAN.
//
// [Open] listens at one point, a Linux bridge, and sees every frame that the bridge forwards exactly once, with the
// kernel's time of its arrival; what a port refuses was never on the LAN and is not seen. [Parse] reads ARP (RFC 826)
// and Neighbor Discovery (RFC 4861) out of a frame, [Voices] turns many of them into who spoke for an address, when, and
// for how long two spoke at once. Parse and Voices are pure.
//
// What is parsed is what is claimed: an address by a MAC. Whether the claim is right is for the caller to say.
package capture
