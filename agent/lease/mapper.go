// SPDX-License-Identifier: Apache-2.0

package lease

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

// newMapper names the resources of the kinds, so that an agent needs no discovery and comes
// up before the API server answers.
func newMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{coordinationv1.SchemeGroupVersion, eventsv1.SchemeGroupVersion, v1alpha1.GroupVersion})
	m.Add(coordinationv1.SchemeGroupVersion.WithKind("Lease"), meta.RESTScopeNamespace)
	m.Add(v1alpha1.GroupVersion.WithKind("VIPAnnouncement"), meta.RESTScopeNamespace)
	m.Add(eventsv1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	return m
}
