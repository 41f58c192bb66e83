// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNamesFitAndDiffer(t *testing.T) {
	long := strings.Repeat("n", 63) + "." + strings.Repeat("o", 180)
	other := long[:len(long)-1] + "p"
	for _, name := range []func(string) string{
		NodeLease, FactsLease, func(n string) string { return ServiceLease("default", n) },
	} {
		for _, n := range []string{"n1", long} {
			if msgs := validation.IsDNS1123Subdomain(name(n)); len(msgs) > 0 {
				t.Errorf("%q is no object name: %s", name(n), msgs[0])
			}
		}
		if name(long) == name(other) {
			t.Errorf("two names give %q", name(long))
		}
	}
	for _, n := range []string{"n1", WatchService, WatchFacts, long} {
		label := WatchNode(n)
		if msgs := validation.IsValidLabelValue(label); len(msgs) > 0 {
			t.Errorf("%q is no label value: %s", label, msgs[0])
		}
		if label == WatchService || label == WatchFacts {
			t.Errorf("node %q is watched as %q", n, label)
		}
	}
}

func TestOneLeaseCannotPassForAnother(t *testing.T) {
	if ServiceLease("node", "n1") == NodeLease("n1") || ServiceLease("facts", "n1") == FactsLease("n1") {
		t.Error("a Service in a namespace of that name gets a node's Lease")
	}
}

func TestEpoch(t *testing.T) {
	uid, transitions, err := NewEpoch("u-1", 7).Split()
	if uid != "u-1" || transitions != 7 || err != nil {
		t.Errorf("got %q, %d, %v", uid, transitions, err)
	}
	for _, bad := range []Epoch{"", "u", "u/", "/1", "u/-1", "u/x", "u/99999999999"} {
		if _, _, err := bad.Split(); err == nil {
			t.Errorf("%q is read as an epoch", bad)
		}
	}
}
