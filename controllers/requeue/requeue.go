// SPDX-License-Identifier: Apache-2.0

// Package requeue turns the outcome of a reconcile into what the queue should do.
package requeue

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// soon is how long the cache usually needs to catch up with a write of somebody else.
const soon = 100 * time.Millisecond

// Soon looks again when the cache has caught up.
func Soon() reconcile.Result { return reconcile.Result{RequeueAfter: soon} }

// Outcome is the result of a reconcile that ended with err: a conflict is nobody's fault
// and no news, it is tried again in silence; every other error is logged by the queue and
// tried again later and later.
func Outcome(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return Soon(), nil
	}
	return reconcile.Result{}, err
}
