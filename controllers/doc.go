// SPDX-License-Identifier: Apache-2.0

// Package controllers is the manager: it gives addresses to Services and says which nodes
// may speak for them. Who does speak is the agents' business; the two meet only in the API
// (docs/architecture.md).
//
// Each folder is a job. The pure cores are ipam (which addresses a Service gets), placement
// (which nodes may speak) and sight (whether to believe what is seen); inventory and roster are what the manager knows of
// addresses and of nodes; pool, allocation, announcement, agents and nodelease write.
//
// The manager is not on the way of a packet and not on the way of a takeover: without it
// every address goes on being answered, and nothing new is given.
package controllers
