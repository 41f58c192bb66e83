// SPDX-License-Identifier: Apache-2.0

package requeue

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestOutcome(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "services"}, "web", errors.New("written meanwhile"))
	other := errors.New("refused")
	for name, tc := range map[string]struct {
		err   error
		again bool
		want  error
	}{
		"done":                {nil, false, nil},
		"conflict":            {conflict, true, nil},
		"conflict, wrapped":   {fmt.Errorf("writing: %w", conflict), true, nil},
		"any other, as it is": {other, false, other},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := Outcome(tc.err)
			if again := result.RequeueAfter > 0; again != tc.again || !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("again %t, error %v; want %t, %v", again, err, tc.again, tc.want)
			}
		})
	}
}
