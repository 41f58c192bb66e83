// SPDX-License-Identifier: Apache-2.0

package pool

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
	"github.com/arpeggio-lb/arpeggio/controllers/journal"
)

// changes gives an Event for each condition that is other than before; a new pool that is
// well is no news.
func changes(p *v1alpha1.VIPPool, before, after []metav1.Condition) []journal.Entry {
	var entries []journal.Entry
	for _, c := range after {
		was := meta.FindStatusCondition(before, c.Type)
		if c.Status == metav1.ConditionUnknown {
			continue // Ready says it
		}
		well := c.Status == metav1.ConditionTrue == (c.Type == v1alpha1.PoolReady)
		switch {
		case was == nil && well:
			continue
		case was != nil && was.Status == c.Status && was.Reason == c.Reason && (c.Type == v1alpha1.PoolExhausted || was.Message == c.Message):
			continue
		}
		kind := corev1.EventTypeNormal
		if !well {
			kind = corev1.EventTypeWarning
		}
		entries = append(entries, journal.Entry{Regarding: p, Type: kind, Reason: c.Reason, Action: "ReadPool", Note: c.Message})
	}
	return entries
}
