// SPDX-License-Identifier: Apache-2.0

// Package allocation gives addresses to Services of type LoadBalancer: it carries out
// what ipam decides. It claims an address by creating its IPAddress object, writes it to
// the Service's status, and gives claims back.
//
// It promises that it writes an address to a Service's status only while the Service has its
// claim (what somebody else wrote there, and nobody claims, it leaves alone), and that a claim goes only after nobody can speak for the address by this
// Service's right any more: the Lease before the address (docs/architecture.md). Services
// of a foreign loadBalancerClass are never touched.
//
// Who speaks for an address, and whether anybody does, is not its business.
package allocation
