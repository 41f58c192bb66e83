// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// errNetRaw names the cause behind the EPERM of a packet socket.
var errNetRaw = errors.New("opening a packet socket needs the capability NET_RAW: " +
	"add it to the container's securityContext.capabilities, and see that the binary has it as a " +
	"file capability (setcap cap_net_raw+p), which some image builders lose")

// withNetRaw runs f with CAP_NET_RAW effective, if the process is permitted to have it.
// The binary's file capability makes it permitted only, not effective: the same binary
// runs as the manager, without NET_RAW in its bounding set, where the kernel would refuse
// to execute it otherwise (capabilities(7), "Safety checking for capability-dumb
// binaries"). Capabilities belong to threads, so f must not change its goroutine.
func withNetRaw(f func() error) error {
	runtime.LockOSThread()
	lower, err := raiseNetRaw()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("raising NET_RAW: %w", err)
	}
	err = f()
	if e := lower(); e != nil {
		// The thread stays locked and ends with its goroutine, so that no other
		// one gets to run on it.
		return errors.Join(err, fmt.Errorf("lowering NET_RAW: %w", e))
	}
	runtime.UnlockOSThread()
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w", err, errNetRaw)
	}
	return err
}

// raiseNetRaw makes the capability effective for this thread, and gives the way back.
func raiseNetRaw() (lower func() error, err error) {
	const bit = uint32(1) << unix.CAP_NET_RAW // below 32: in the first word
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	if err := unix.Capget(&head, &before[0]); err != nil {
		return nil, err
	}
	if before[0].Effective&bit != 0 || before[0].Permitted&bit == 0 {
		return func() error { return nil }, nil
	}
	raised := before
	raised[0].Effective |= bit
	if err := unix.Capset(&head, &raised[0]); err != nil {
		return nil, err
	}
	return func() error { return unix.Capset(&head, &before[0]) }, nil
}
