// SPDX-License-Identifier: Apache-2.0

// Package inventory is what the manager knows of addresses: the pools, what is reserved,
// and who has what. It follows the API through the manager's cache and answers for the
// reconcilers, at once and without reading anything, what ipam decides.
//
// It promises that whoever is told of a change finds it in the inventory, and that an
// address that is being claimed for one Service is not offered to another meanwhile.
// It is not the truth: the IPAddress objects in the API are, and their creation decides.
package inventory
