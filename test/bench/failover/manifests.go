// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/arpeggio-lb/arpeggio/test/cluster"
)

// pool is for the Services whose clients are asked how it was.
const pool = `
apiVersion: arpeggio.dev/v1alpha1
kind: VIPPool
metadata: {name: lan}
spec:
  addresses: [192.168.77.200-192.168.77.229, "fd00:77::200/122"]
  serviceSelector: {matchLabels: {bench: small}}
`

// backends answer HTTP and UDP; which of them serve is said by a label.
const backends = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 3
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: echo}}}
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists}
      - {key: node.kubernetes.io/not-ready, operator: Exists}
      containers:
      - name: echo
        image: ` + cluster.EchoImage + `
        env: [{name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
`

// service is a dual-stack Service of the pods that serve, ready or not: an API server that nodes do not reach for 50 s takes
// all pods for unready, and kube-proxy drops their traffic for a moment when it is back, whoever speaks for the addresses.
func service(name string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, labels: {bench: small}}
spec:
  {type: LoadBalancer, ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6], publishNotReadyAddresses: true, selector: {app: echo, serves: "yes"}, ports: [
    {name: http, port: %[2]d, targetPort: 8080, protocol: TCP}, {name: echo, port: %[2]d, targetPort: 8080, protocol: UDP}]}
`, name, servicePort)
}
