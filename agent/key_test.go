// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpeggio-lb/arpeggio/agent/neighbor"
)

func TestMarkKey(t *testing.T) {
	const digits = "000102030405060708090a0b0c0d0e0f"
	key := neighbor.Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for name, tc := range map[string]struct {
		text string
		want neighbor.Key
		bad  bool
	}{
		"as the manager makes it": {text: digits, want: key},
		"with a line's end":       {text: strings.ToUpper(digits) + "\n", want: key},
		"too short":               {text: digits[2:], bad: true},
		"too long":                {text: digits + "00", bad: true},
		"no digits":               {text: strings.Repeat("g", 32), bad: true},
		"empty":                   {bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readKey(path)
			if tc.bad != (err != nil) || !tc.bad && got != tc.want {
				t.Fatalf("got %x, %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "--mark-key-file "+path) || !strings.Contains(err.Error(), "arpeggio-mark-key")) {
				t.Errorf("%q does not name flag, file and remedy", err)
			}
			if tc.text != "" && err != nil && strings.Contains(err.Error(), tc.text) {
				t.Errorf("%q tells what is in the file", err)
			}
		})
	}
	if key, err := readKey(""); err != nil || key != (neighbor.Key{}) {
		t.Errorf("without a file: %x, %v", key, err)
	}
	missing := filepath.Join(t.TempDir(), "none")
	if _, err := readKey(missing); err == nil || !strings.Contains(err.Error(), "--mark-key-file") || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file: %v", err)
	}
}
