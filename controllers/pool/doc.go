// SPDX-License-Identifier: Apache-2.0

// Package pool tells the users of a VIPPool what the manager made of it: how many
// addresses it has and has left, and the conditions Ready, Overlapping and Exhausted.
//
// It gives no addresses (controllers/allocation does), and a wrong pool hinders no other.
package pool
