// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Spec is what a machine runs.
type Spec struct {
	// Hostname is the machine's UTS name.
	Hostname string `json:"hostname"`
	// NetworkNamespace is the path of the network namespace the machine stands in.
	NetworkNamespace string `json:"networkNamespace"`
	// Dir belongs to the machine: it holds its pid file, its logs (logs/NAME.log) and what it finds below /var/lib and
	// /var/log. These survive a restart; /run and /tmp do not.
	Dir string `json:"dir"`
	// Shared is a directory that the machine sees where it is, even when it lies below a path that Dir replaces.
	Shared string `json:"shared"`
	// Cgroup is the control group, in every hierarchy, that holds the machine, and that the machine sees as the root.
	Cgroup string `json:"cgroup"`
	// Processes are started side by side, each when what it needs is there, and started again when they end.
	Processes []Process `json:"processes"`
}

// Process is one program of a machine.
type Process struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
	// Path is prepended to PATH.
	Path string `json:"path,omitempty"`
	// Needs lists what must be there before the process starts: addresses that accept a connection
	// ("tcp:127.0.0.1:2379", "unix:/run/a.sock") and URLs that are answered with status 200 ("https://...").
	Needs []string `json:"needs,omitempty"`
}

// LogFile is where the output of the named process goes; the first process itself is named "init".
func (s Spec) LogFile(process string) string { return LogFile(s.Dir, process) }

// ResolvConf is the name, in a machine's directory, of the file that it has for /etc/resolv.conf; it is empty.
const ResolvConf = "resolv.conf"

// LogFile is where the output of a process goes, for the machine whose directory is dir.
func LogFile(dir, process string) string { return filepath.Join(dir, "logs", process+".log") }

func specFile(dir string) string { return filepath.Join(dir, "machine.json") }
func pidFile(dir string) string  { return filepath.Join(dir, "pid.json") }

// Write stores the spec in its directory, from which [Start] reads it, also when started again.
func (s Spec) Write() error {
	if err := os.MkdirAll(filepath.Join(s.Dir, "logs"), 0o755); err != nil {
		return err
	}
	return writeJSON(specFile(s.Dir), s)
}

// Read gives back what Write stored in dir.
func Read(dir string) (Spec, error) {
	var s Spec
	return s, readJSON(specFile(dir), &s)
}

func readJSON(file string, into any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("parsing %s: %w", file, err)
	}
	return nil
}

func writeJSON(file string, value any) error {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o600)
}
