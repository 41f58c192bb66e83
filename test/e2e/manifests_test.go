// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// pool is the one that the tests' Services get their addresses from.
const pool = `
apiVersion: arpeggio.dev/v1alpha1
kind: VIPPool
metadata: {name: lan}
spec: {addresses: [192.168.77.200-192.168.77.229, "fd00:77::200/122"]}
`

// dual is the specification of a dual-stack Service.
const dual = "ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6]"

// service is the manifest of a Service of the pods "echo", with TCP and UDP ports; spec is
// in YAML's flow style, annotations are "key: value".
func service(name, spec string, annotations ...string) string {
	if !strings.Contains(spec, "selector:") {
		spec = "selector: {app: echo}, " + spec
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, annotations: {%s}}
spec:
  {type: LoadBalancer, %s, ports: [
    {name: http, port: %[4]d, targetPort: 8080, protocol: TCP}, {name: echo, port: %[4]d, targetPort: 8080, protocol: UDP}]}
`, name, strings.Join(annotations, ", "), spec, port)
}

// deployment is the manifest of pods that answer HTTP and UDP, spread over the nodes, or
// all on one.
func deployment(name string, replicas int, node string) string {
	selector := "{}"
	if node != "" {
		selector = "{kubernetes.io/hostname: " + node + "}"
	}
	app, _, _ := strings.Cut(name, "-")
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {deployment: %[1]s}}
  template:
    metadata: {labels: {deployment: %[1]s, app: %[3]s}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: %[4]s
      tolerations:
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute}
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute}
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {deployment: %[1]s}}}
      containers:
      - name: echo
        image: %[5]s
        imagePullPolicy: IfNotPresent
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
`, name, replicas, app, selector, cluster.EchoImage)
}
