// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

// readKey reads the key of the marks; no path: the zero key.
func readKey(path string) (neighbor.Key, error) {
	var key neighbor.Key
	if path == "" {
		return key, nil
	}
	const remedy = "want the 32 hexadecimal digits that the manager puts into the Secret arpeggio-mark-key; delete that Secret to have it made anew, or leave the flag out to go without a key"
	text, err := os.ReadFile(path)
	if err != nil {
		return key, fmt.Errorf("--mark-key-file: %w: %s", err, remedy)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != len(key) {
		return key, fmt.Errorf("--mark-key-file %s holds no key: %s", path, remedy)
	}
	return neighbor.Key(b), nil
}
