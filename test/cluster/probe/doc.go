// SPDX-License-Identifier: Apache-2.0

// Package probe measures how an address answers, as one host sees it: requests at a steady pace, over UDP, HTTP, ARP or
// Neighbor Discovery, and what came back, above all the longest time in which nothing did.
//
// [Run] works in the network namespace of its process; program lab-probe is that process, and package cluster starts it
// in a host of the lab. Times are of the machine's clock, which all hosts of the lab share, so that they can be compared
// with those of a capture. On a busy machine of two cores, delays of up to 60 ms are noise.
package probe
