// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadWrites(t *testing.T) {
	line := func(at, user, verb, object, code string) string {
		return `{"requestReceivedTimestamp":"2026-01-01T00:00:` + at + `Z","verb":"` + verb + `","user":{"username":"` + user +
			`"},"objectRef":{` + object + `},"responseStatus":{"code":` + code + "}}\n"
	}
	agent := "system:serviceaccount:" + SystemNamespace + ":arpeggio-agent"
	lease := `"resource":"leases","namespace":"s","name":"node.node1"`
	log := line("01.000001", agent, "update", lease, "200") +
		line("02.000000", agent, "update", lease, "200") +
		line("03.000000", agent, "update", `"resource":"vipannouncements","subresource":"status","namespace":"default","name":"web"`, "409") +
		line("05.000000", agent, "update", lease, "200") +
		`{"requestReceivedTimestamp":"2026-01-01T00:00:03` // still being written
	from := time.Date(2026, 1, 1, 0, 0, 2, 0, time.UTC)
	got, err := readWrites(strings.NewReader(log), from, from.Add(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	want := []Write{
		{At: from, Account: "arpeggio-agent", Verb: "update", Resource: "leases", Namespace: "s", Name: "node.node1", Code: 200},
		{At: from.Add(time.Second), Account: "arpeggio-agent", Verb: "update", Resource: "vipannouncements/status", Namespace: "default", Name: "web", Code: 409},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := readWrites(strings.NewReader("no JSON\n"), from, from); err == nil {
		t.Error("a log that is no JSON: no error")
	}
}
