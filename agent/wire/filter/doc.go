// SPDX-License-Identifier: Apache-2.0

// Package filter builds the programs that run in the kernel before a frame is queued, so that
// frames which are not for us never wake the process. They are classic BPF (bpf(4)), which a
// process may attach to its own socket without any capability; eBPF would need CAP_BPF.
//
// It promises: whatever is about an address the filter was built for passes, and a program is
// never longer than asked for. What does not fit is made coarser, so that more passes than was
// asked for, never less: the table of package neighbor judges every frame once more.
//
// The addresses are kept as intervals of 32-bit keys and searched as a binary tree of jumps, so
// a pool of thousands costs as much as one address. The package is pure: it attaches nothing.
package filter
