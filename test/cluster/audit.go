// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// auditPolicyFile makes the API server record each write of the project's service accounts, and nothing else.
const auditPolicyFile = "audit-policy.yaml"

func auditLog() string { return filepath.Join(hostDir(ControlPlane), "logs", "audit.log") }

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts:` + SystemNamespace + `"]
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

func writeAuditPolicy() error {
	return os.WriteFile(filepath.Join(hostDir(ControlPlane), auditPolicyFile), []byte(auditPolicy), 0o644)
}

// Write is one request that asked the API server to change something.
type Write struct {
	At time.Time
	// Account is the name of the service account in [SystemNamespace] that asked, Resource what it was about, such as
	// "leases" or "vipannouncements/status".
	Account, Verb, Resource, Namespace, Name string
	// Code is the HTTP status: what the API server refused was a write too.
	Code int
}

// Writes lists what the service accounts in [SystemNamespace] wrote from one time to another, in order, whether it
// succeeded or not.
func (c *Cluster) Writes(from, to time.Time) ([]Write, error) {
	f, err := os.Open(auditLog())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was written yet
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	return readWrites(f, from, to)
}

func readWrites(log io.Reader, from, to time.Time) ([]Write, error) {
	var all []Write
	for lines := bufio.NewReader(log); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil // what has no end yet is still being written
		} else if err != nil {
			return nil, err
		}
		var e struct {
			RequestReceivedTimestamp time.Time
			Verb                     string
			User                     struct{ Username string }
			ObjectRef                struct{ Resource, Subresource, Namespace, Name string }
			ResponseStatus           struct{ Code int }
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("parsing the audit log: %w", err)
		}
		if at := e.RequestReceivedTimestamp; at.Before(from) || at.After(to) {
			continue
		}
		w := Write{
			At: e.RequestReceivedTimestamp, Verb: e.Verb, Resource: e.ObjectRef.Resource,
			Namespace: e.ObjectRef.Namespace, Name: e.ObjectRef.Name, Code: e.ResponseStatus.Code,
		}
		_, w.Account, _ = strings.Cut(e.User.Username, SystemNamespace+":")
		if s := e.ObjectRef.Subresource; s != "" {
			w.Resource += "/" + s
		}
		all = append(all, w)
	}
}
