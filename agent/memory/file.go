// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mode: the agent's user reads and writes, nobody else does.
const mode = 0o600

// Load reads a memory. A file that is not there is an empty memory; one that cannot be read,
// or is not whole, is an error that names it, and an empty memory.
func Load(path string) (Snapshot, error) {
	// Neither a link nor a pipe is followed or waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, nil
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("opening the memory: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading the memory: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Snapshot{}, fmt.Errorf("the memory %s is no file", path)
	}
	s, err := decode(io.LimitReader(f, maxOctets+maxLine))
	if err != nil {
		return Snapshot{}, fmt.Errorf("the memory %s is of no use: %w", path, err)
	}
	return s, nil
}

// save writes a memory, if its checksum is not that of the one that is there. What was there
// stays if it fails.
func save(path string, s Snapshot, there *uint32) (crc uint32, err error) {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK, mode)
	if err != nil {
		return 0, fmt.Errorf("writing the memory: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // it may be closed
			_ = os.Remove(next)
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if crc, err = encode(w, s); err != nil {
		return 0, fmt.Errorf("writing the memory %s: %w", path, err)
	}
	if there != nil && crc == *there {
		_ = f.Close() // nobody needs it
		return crc, os.Remove(next)
	}
	// Errors of these name the file.
	if err := errors.Join(w.Flush(), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return 0, fmt.Errorf("writing the memory: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return 0, fmt.Errorf("writing the memory: %w", err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return 0, fmt.Errorf("writing the memory: %w", err)
	}
	return crc, errors.Join(d.Sync(), d.Close()) // the new name is on the disk, too
}
