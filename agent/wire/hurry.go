// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"time"

	"golang.org/x/sys/unix"
)

// slice is how long a reader runs at a stretch where other threads want its CPU.
const slice = 100 * time.Microsecond

// hurry asks for short slices for this thread. It gets no more of the CPU by it, but gets it
// sooner: who asks for little at a time need not wait until the slice of another is over, which is
// some milliseconds (sched_setattr(2); EEVDF, Linux 6.12). Anybody may ask. Older kernels take no
// notice, and nothing depends on it.
func hurry() {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return
	}
	attr.Runtime = uint64(slice)
	_ = unix.SchedSetAttr(0, attr, 0)
}
