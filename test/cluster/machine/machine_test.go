// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestParseStat(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		want stat
		fail bool
	}{
		"plain":          {line: "42 (kubelet) S 1 42 42 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 9 0 987654 1000 200", want: stat{'S', 9, 987654}},
		"any name":       {line: "42 (a) Z 1 (b c) Z 1 42 42 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 1 0 987654 1000 200", want: stat{'Z', 1, 987654}},
		"cut":            {line: "42 (kubelet) S 1 42", fail: true},
		"no parenthesis": {line: "42 kubelet S", fail: true},
		"empty":          {line: "", fail: true},
	} {
		got, err := parseStat(test.line)
		if (err != nil) != test.fail || !test.fail && got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
		}
	}
}

func TestEnded(t *testing.T) {
	for s, want := range map[stat]bool{
		{state: 'S', threads: 1}: false,
		{state: 'T', threads: 4}: false,
		{state: 'Z', threads: 3}: false, // only its first thread ended
		{state: 'Z', threads: 1}: true,
		{state: 'X'}:             true,
	} {
		if got := s.ended(); got != want {
			t.Errorf("%+v: %v, want %v", s, got, want)
		}
	}
}

// A pid file of a process that is gone, of another boot, or of another process with the same pid, names nothing alive.
func TestPID(t *testing.T) {
	self, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		id   *Identity
		want int
	}{
		"none":         {nil, 0},
		"alive":        {&Identity{os.Getpid(), self.startTime, bootID()}, os.Getpid()},
		"other start":  {&Identity{os.Getpid(), self.startTime + 1, bootID()}, 0},
		"other boot":   {&Identity{os.Getpid(), self.startTime, "another"}, 0},
		"gone":         {&Identity{1 << 22, self.startTime, bootID()}, 0},
		"never marked": {&Identity{}, 0},
	} {
		dir := t.TempDir()
		if test.id != nil {
			if err := writeJSON(pidFile(dir), test.id); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := PID(dir); err != nil || got != test.want {
			t.Errorf("%s: %d, %v; want %d", name, got, err, test.want)
		}
	}
}

func TestSpecIsReadAsWritten(t *testing.T) {
	s := Spec{Hostname: "h", Dir: filepath.Join(t.TempDir(), "h"), Processes: []Process{{Name: "p", Args: []string{"a", "b"}, Needs: []string{"tcp:x"}}}}
	if err := s.Write(); err != nil {
		t.Fatal(err)
	}
	got, err := Read(s.Dir)
	if err != nil || got.Hostname != "h" || len(got.Processes) != 1 || got.Processes[0].Needs[0] != "tcp:x" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNeeds(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if !available(ctx, nil) || !available(ctx, []string{"unix:" + socket}) {
		t.Error("what is there counts as missing")
	}
	if available(ctx, []string{"unix:" + socket, "unix:" + socket + "x"}) {
		t.Error("what is missing counts as there")
	}
	l.Close()
	if available(ctx, []string{"unix:" + socket}) || available(ctx, []string{"https://127.0.0.1:1/"}) {
		t.Error("what is closed counts as there")
	}
}

func TestRunOnlyAsFirstProcess(t *testing.T) {
	if err := Run(t.Context(), t.TempDir()); err == nil {
		t.Error("no error")
	}
}
