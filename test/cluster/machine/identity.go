// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Identity names one process for good: a pid is used again, a pid with its start time is not (until the next boot).
type Identity struct {
	PID int `json:"pid"`
	// StartTime is in clock ticks since boot, as in field 22 of /proc/PID/stat.
	StartTime uint64 `json:"startTime"`
	Boot      string `json:"boot"`
}

// Self is the calling process.
func Self() (Identity, error) { return Identify(os.Getpid()) }

// Identify names the process that has this pid now.
func Identify(pid int) (Identity, error) {
	st, err := readStat(pid)
	return Identity{PID: pid, StartTime: st.startTime, Boot: bootID()}, err
}

// Alive says whether the process still runs.
func (id Identity) Alive() (bool, error) {
	if id.Boot != bootID() {
		return false, nil
	}
	st, err := readStat(id.PID)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return st.startTime == id.StartTime && !st.ended(), nil
}
