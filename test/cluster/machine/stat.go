// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// stat is what is needed of /proc/PID/stat.
type stat struct {
	state     byte
	threads   uint64
	startTime uint64
}

// ended says whether nothing of the process runs any more; only its parent has not heard of it yet. A process with
// several threads looks like a zombie as soon as its first thread is gone, while another one may still be waiting for
// the rest of its PID namespace to die.
func (s stat) ended() bool { return s.state == 'X' || s.state == 'Z' && s.threads <= 1 }

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(b))
}

// parseStat reads a line of proc_pid_stat(5). The second field, the command in parentheses, may hold anything, so
// fields are counted from the last closing parenthesis.
func parseStat(line string) (stat, error) {
	end := strings.LastIndexByte(line, ')')
	fields := strings.Fields(line[end+1:])
	const stateField, threadsField, startTimeField = 0, 17, 19 // the man page's 3, 20, 22
	if end < 0 || len(fields) <= startTimeField {
		return stat{}, fmt.Errorf("unexpected process status %q", line)
	}
	threads, err := strconv.ParseUint(fields[threadsField], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("number of threads in process status %q: %w", line, err)
	}
	started, err := strconv.ParseUint(fields[startTimeField], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("start time in process status %q: %w", line, err)
	}
	return stat{state: fields[stateField][0], threads: threads, startTime: started}, nil
}

// bootID is different after each boot of the machine this runs on; empty when the kernel does not tell.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
