// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// The API server puts the Leases of agents and manager where the elections of its own
// controllers are, and nothing else of theirs.
func TestFlowOfLeases(t *testing.T) {
	w := newWorld(t)
	w.apply("../../config/flow/flowschema.yaml")
	var level flowcontrolv1.PriorityLevelConfiguration
	if err := w.client.Get(t.Context(), types.NamespacedName{Name: "leader-election"}, &level); err != nil {
		t.Fatal(err)
	}
	const leases = "/apis/coordination.k8s.io/v1/namespaces/arpeggio-system/leases"
	for _, tc := range []struct {
		account, method, path, flow string
	}{
		{"arpeggio-agent", http.MethodGet, leases + "/node.n1", "arpeggio-agent-leases"},
		{"arpeggio-agent", http.MethodPut, leases + "/node.n1", "arpeggio-agent-leases"},
		{"arpeggio-agent", http.MethodGet, leases, "arpeggio-agent-leases"},
		{"arpeggio-manager", http.MethodPut, leases + "/manager", "arpeggio-manager-leases"},
		{"arpeggio-manager", http.MethodPost, leases, ""},
		{"arpeggio-agent", http.MethodGet, "/apis/arpeggio.dev/v1alpha1/vipannouncements", ""},
		{"arpeggio-agent", http.MethodGet, "/apis/coordination.k8s.io/v1/namespaces/default/leases/x", ""},
		{"other", http.MethodGet, leases + "/node.n1", ""},
	} {
		config := rest.CopyConfig(server.config)
		config.Impersonate = rest.ImpersonationConfig{
			UserName: "system:serviceaccount:" + system + ":" + tc.account,
			Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + system, "system:authenticated"},
		}
		c, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		w.eventually(func(ctx context.Context) error { // the API server follows its FlowSchemas with a delay
			var schema flowcontrolv1.FlowSchema
			if tc.flow != "" {
				if err := w.client.Get(ctx, types.NamespacedName{Name: tc.flow}, &schema); err != nil {
					return err
				}
			}
			r, err := http.NewRequestWithContext(ctx, tc.method, server.config.Host+tc.path, http.NoBody)
			if err != nil {
				return err
			}
			response, err := c.Do(r)
			if err != nil {
				return err
			}
			_ = response.Body.Close()
			flow, at := response.Header.Get(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID), response.Header.Get(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID)
			if flow == "" {
				return fmt.Errorf("%s %s of %s: %s, and no flow", tc.method, tc.path, tc.account, response.Status)
			}
			if ours := tc.flow != ""; ours != (at == string(level.UID)) || ours && flow != string(schema.UID) {
				return fmt.Errorf("%s %s of %s goes to flow %s, level %s; leader-election is %s", tc.method, tc.path, tc.account, flow, at, level.UID)
			}
			return nil
		})
	}
}
