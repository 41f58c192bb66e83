// SPDX-License-Identifier: Apache-2.0

// Package allocation gives addresses to Services of type LoadBalancer: it carries out
// what ipam decides. It claims an address by creating its IPAddress object, writes it to
// the Service's status, and gives claims back.
//
// It promises that it writes an address to a Service's status only while the Service has its
// claim, and once a node found it free or speaks for it; after ten seconds also if no node is
// there to probe it. What a Service shows goes only for another address, or if it is no longer
// the Service's. Nothing is remembered for that: the Service says what was shown, the
// announcement's status what was found, the claim how old it is. What somebody else wrote
// there, and nobody claims, it leaves alone.
//
// It promises that a claim goes only after nobody can speak for the address by this
// Service's right any more: the Lease before the address (docs/architecture.md). Services
// of a foreign loadBalancerClass are never touched.
//
// An address that another host uses is set aside: its claim stays, is nobody's, and goes
// after an hour, however often the manager was restarted meanwhile. The Service gets another
// one first. What it asked for, or brought along, is never replaced. The word of the agents
// (status.conflicts) counts only for addresses that the Service has, and only as often as
// ipam bounds it.
//
// Who speaks for an address, and whether anybody does, is not its business.
package allocation
