// SPDX-License-Identifier: Apache-2.0

package agents

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Only an address that every node has, and a port that stays, is given to all agents.
func TestMetricsAddress(t *testing.T) {
	for address, want := range map[string]struct {
		port uint16
		says string
	}{
		"":                   {},
		"0":                  {},
		"0.0.0.0:9810":       {port: 9810},
		"[::]:9810":          {port: 9810},
		"127.0.0.1:9810":     {port: 9810},
		"[::1]:9":            {port: 9},
		":9810":              {says: "no address and port"},
		"9810":               {says: "no address and port"},
		"localhost:9810":     {says: "no address and port"},
		"0.0.0.0:70000":      {says: "no address and port"},
		"0.0.0.0:0":          {says: "port 0"},
		"192.168.1.7:9810":   {says: "one node at most has this address"},
		"[fd00:1::7]:9810":   {says: "one node at most has this address"},
		"0.0.0.0:9810 --v=9": {says: "no address and port"},
	} {
		port, err := MetricsPort(address)
		if port != want.port || (err != nil) != (want.says != "") {
			t.Errorf("%q: %d, %v", address, port, err)
		}
		if err != nil && (!strings.Contains(err.Error(), want.says) || !strings.Contains(err.Error(), "write 0.0.0.0:9810") || !strings.Contains(err.Error(), address)) {
			t.Errorf("%q: %v", address, err)
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: Name, UID: "account"}}
	if _, err := desired("arpeggio-system", Pods{Image: "image:v1", MetricsAddress: "x"}, "installation", account); err == nil {
		t.Error("agents that cannot start are installed")
	}
}

// The agents are told where to serve, and scrapers which port that is; without the flag nothing
// of it is there.
func TestMetricsAreServedWhenAskedFor(t *testing.T) {
	const flag = "--metrics-bind-address"
	asked := func(args []string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, flag) })
	}
	pod, with := wantedOf(t, Pods{Image: "image:v1", MetricsAddress: "[::]:9810"})
	if !slices.Contains(pod.Spec.Containers[0].Args, flag+"=[::]:9810") {
		t.Errorf("arguments %q", pod.Spec.Containers[0].Args)
	}
	if pod.Annotations["prometheus.io/scrape"] != "true" || pod.Annotations["prometheus.io/port"] != "9810" {
		t.Errorf("annotations %v", pod.Annotations)
	}
	for _, none := range []string{"", "0"} {
		pod, without := wantedOf(t, Pods{Image: "image:v1", MetricsAddress: none})
		if asked(pod.Spec.Containers[0].Args) || len(pod.Annotations) != 0 {
			t.Errorf("%q: arguments %q, annotations %v", none, pod.Spec.Containers[0].Args, pod.Annotations)
		}
		if with == without {
			t.Error("agents with the flag and without count as the same")
		}
	}
}
