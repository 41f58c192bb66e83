// SPDX-License-Identifier: Apache-2.0

package agents

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// KeySecret is the Secret with the key by which the agents of an installation sign their
	// frames; keyEntry is its one entry.
	KeySecret = "arpeggio-mark-key"
	keyEntry  = "key"

	keyOctets = 16
	keyDir    = "/etc/arpeggio/mark"
	// keyMode lets the agents' user read the key. The kubelet gives the file to root, in a
	// folder that nobody else on the node can enter.
	keyMode int32 = 0o444
)

// keyFile is where the agents find the key.
const keyFile = keyDir + "/" + keyEntry

// ensureKey makes the Secret with the key, if there is none, and tells whether it did. What
// is wrong with one that is there, in words, is unusable: it is not touched, as the agents
// that run may have it, and somebody put it there.
func (r *Reconciler) ensureKey(ctx context.Context, account *corev1.ServiceAccount) (made bool, unusable string, err error) {
	var secret corev1.Secret
	err = r.client.Get(ctx, types.NamespacedName{Namespace: r.namespace, Name: KeySecret}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		err := r.client.Create(ctx, newKey(r.namespace, account))
		if apierrors.IsAlreadyExists(err) {
			return false, "", nil // the cache will show it
		}
		if err != nil {
			return false, "", fmt.Errorf("creating the Secret %s: %w", KeySecret, err)
		}
		return true, "", nil
	case err != nil:
		return false, "", fmt.Errorf("reading the Secret %s: %w", KeySecret, err)
	}
	if owners := ownedBy(account); secret.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && !slices.Equal(secret.OwnerReferences, owners) {
		changed := secret.DeepCopy()
		changed.OwnerReferences = owners
		if err := r.client.Update(ctx, changed); err != nil {
			return false, "", fmt.Errorf("updating the Secret %s: %w", KeySecret, err)
		}
	}
	return false, checkKey(secret.Data), nil
}

// newKey is the Secret with a new key. It is immutable: the kubelets would put a key that is
// edited into the containers of some agents sooner than into others', and agents with
// different keys do not know each other.
func newKey(namespace string, account *corev1.ServiceAccount) *corev1.Secret {
	key := make([]byte, keyOctets)
	rand.Read(key) // never fails, or ends the process
	yes := true
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: KeySecret,
			Labels:          map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
			OwnerReferences: ownedBy(account),
		},
		Immutable: &yes,
		Type:      corev1.SecretTypeOpaque,
		Data:      map[string][]byte{keyEntry: []byte(hex.EncodeToString(key))},
	}
}

// checkKey says what is wrong with the key, and nothing of the key; empty: it can be used.
func checkKey(data map[string][]byte) string {
	text, ok := data[keyEntry]
	if !ok {
		return fmt.Sprintf("it has no entry %q", keyEntry)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	switch {
	case err != nil || len(key) != keyOctets:
		return fmt.Sprintf("its entry %q is not %d hexadecimal digits", keyEntry, 2*keyOctets)
	case !slices.ContainsFunc(key, func(b byte) bool { return b != 0 }):
		return fmt.Sprintf("its entry %q is all zeros, which everybody knows", keyEntry)
	}
	return ""
}

// ownedBy makes the agents' ServiceAccount the owner of an object.
func ownedBy(account *corev1.ServiceAccount) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "ServiceAccount", Name: account.Name, UID: account.UID}}
}
