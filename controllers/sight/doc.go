// SPDX-License-Identifier: Apache-2.0

// Package sight judges whether the manager can believe what it sees. When more than half of
// the nodes, or of the announcements, change for the worse at once, it is more likely that
// the manager is blind (a watch that hangs, a network that is split) than that all of them
// are gone; then it is to write nothing for a minute, or until all is there again.
//
// It is pure: what is seen goes in with the time, and a judgment comes out. It does not say
// what is better to do than nothing: the agents go on by themselves meanwhile.
package sight
