// SPDX-License-Identifier: Apache-2.0

package agents

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/arpeggio-lb/arpeggio/api/v1alpha1"
)

const (
	// Name of the DaemonSet and of its ServiceAccount.
	Name = "arpeggio-agent"

	annotationHash = v1alpha1.Group + "/spec-hash"

	// nonRoot is the user of the agents; the capability reaches it through the file
	// capability of the binary.
	nonRoot = 65532

	gracePeriod = 30 // seconds, for handing over
	// stateDir is where an agent keeps what its container needs when it is started again
	// while the API server is away.
	stateDir = "/var/lib/arpeggio"
)

// Pods is what the manager is told of the agents' pods.
type Pods struct {
	// Image of the agents.
	Image string
	// MetricsAddress is where each serves its metrics; "0" or empty: none does. MetricsPort
	// says what is wrong with it.
	MetricsAddress string
}

// desired is the DaemonSet as it should be.
func desired(namespace string, pods Pods, installation types.UID, owner *corev1.ServiceAccount) (*appsv1.DaemonSet, error) {
	selector := map[string]string{"app.kubernetes.io/name": "arpeggio", "app.kubernetes.io/component": "agent"}
	labels := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	for k, v := range selector {
		labels[k] = v
	}
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       namespace,
			Name:            Name,
			Labels:          labels,
			OwnerReferences: ownedBy(owner),
		},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			// A new agent is ready beside the old one before that one is told to end, and
			// takes its voices over: an upgrade moves no address. For that the pod may have
			// no port, as in the host's network there would be room for one agent only.
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &none, MaxSurge: &one},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       podSpec(pods.Image, installation),
			},
		},
	}
	if err := serveMetrics(&ds.Spec.Template, pods.MetricsAddress); err != nil {
		return nil, err
	}
	hash, err := hashOf(ds)
	if err != nil {
		return nil, err
	}
	ds.Annotations = map[string]string{annotationHash: hash}
	return ds, nil
}

// podSpec is what runs on each node: in the host's network, with NET_RAW and nothing else.
// It has no limits: throttling would look like a dead node to the others.
func podSpec(image string, installation types.UID) corev1.PodSpec {
	yes, no := true, false
	user, grace, mode := int64(nonRoot), int64(gracePeriod), keyMode
	return corev1.PodSpec{
		ServiceAccountName:            Name,
		HostNetwork:                   true,
		DNSPolicy:                     corev1.DNSClusterFirstWithHostNet,
		PriorityClassName:             "system-node-critical",
		NodeSelector:                  map[string]string{corev1.LabelOSStable: "linux"},
		Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		TerminationGracePeriodSeconds: &grace,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   &yes,
			RunAsUser:      &user,
			RunAsGroup:     &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name:            "agent",
			Image:           image,
			ImagePullPolicy: corev1.PullIfNotPresent,
			Args: []string{
				"agent",
				"--namespace=$(NAMESPACE)",
				"--node-name=$(NODE_NAME)",
				"--pod-uid=$(POD_UID)",
				"--installation=" + string(installation),
				"--node-ips=$(NODE_IPS)",
				"--state-dir=" + stateDir,
				"--mark-key-file=" + keyFile,
			},
			Env: []corev1.EnvVar{
				field("NAMESPACE", "metadata.namespace"),
				field("NODE_NAME", "spec.nodeName"),
				field("POD_UID", "metadata.uid"),
				field("NODE_IPS", "status.hostIPs"),
			},
			// The request is the agent's share of a busy node: answers that come late are
			// outages. There is no limit, which would throttle it.
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("200m"),
				corev1.ResourceMemory: resource.MustParse("48Mi"),
			}},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no,
				ReadOnlyRootFilesystem:   &yes,
				Capabilities: &corev1.Capabilities{
					Drop: []corev1.Capability{"ALL"},
					Add:  []corev1.Capability{"NET_RAW"},
				},
			},
			VolumeMounts: []corev1.VolumeMount{
				{Name: "state", MountPath: stateDir},
				{Name: "mark-key", MountPath: keyDir, ReadOnly: true},
			},
			LivenessProbe:  probe(20, 3),
			ReadinessProbe: probe(5, 3, "--ready"),
		}},
		Volumes: []corev1.Volume{
			// It lives as long as the pod, so that a new container finds it again.
			{Name: "state", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "mark-key", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: KeySecret, DefaultMode: &mode}}},
		},
	}
}

// field is a variable with a field of the pod.
func field(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

// probe asks the agent by a command in its container, as two agents cannot share a port of
// the host. The command takes the pod's UID from its environment: the kubelet does not put
// fields of the pod into a probe's arguments. Each probe costs some 40 ms of CPU time, the
// greater part to enter the container.
func probe(period, failures int32, more ...string) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
			Command: append([]string{"/arpeggio", "agent", "health"}, more...),
		}},
		PeriodSeconds:    period,
		TimeoutSeconds:   2,
		FailureThreshold: failures,
	}
}

// hashOf sums up what the manager wants of a DaemonSet. What the API server fills in, and
// what others add, is not in it.
func hashOf(ds *appsv1.DaemonSet) (string, error) {
	text, err := json.Marshal(struct {
		Labels map[string]string
		Owners []metav1.OwnerReference
		Spec   appsv1.DaemonSetSpec
	}{ds.Labels, ds.OwnerReferences, ds.Spec})
	if err != nil {
		return "", fmt.Errorf("encoding the DaemonSet: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}
