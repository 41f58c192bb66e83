# SPDX-License-Identifier: Apache-2.0
.DEFAULT_GOAL := help
SHELL := /bin/bash

VERSION ?= 0.1.0
IMAGE   ?= ghcr.io/arpeggio-lb/arpeggio:v$(VERSION)
ARCH    ?= $(shell go env GOARCH)

BIN      := $(CURDIR)/bin
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=v$(VERSION)'
TOOL     := go tool -modfile=tools/generate/go.mod
LINT     := go tool -modfile=tools/lint/go.mod golangci-lint
PART     := ./hack/part

##@ See it

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: lab-build image manifests ## three nodes, a client, a Service with a VIP, and a crash (root; KEEP=1 leaves it running)
	go build -o $(BIN)/demo ./test/demo
	$(BIN)/demo

.PHONY: lab
lab: bin/lab ## bin/lab, a real Kubernetes cluster on this machine (bin/lab --help)

##@ Test it

.PHONY: test
test: ## everything, as CI does (root; installs what it needs)
	@rm -f $(BIN)/parts
	@$(PART) lab-build   $(MAKE) --no-print-directory lab-build
	@$(PART) image       $(MAKE) --no-print-directory image manifests
	@$(PART) lint        $(MAKE) --no-print-directory lint
	@$(PART) unit        $(MAKE) --no-print-directory unit
	@$(PART) simulation  $(MAKE) --no-print-directory simulation
	@$(PART) wire        $(MAKE) --no-print-directory wire
	@$(PART) integration $(MAKE) --no-print-directory integration
	@$(PART) e2e         $(MAKE) --no-print-directory e2e
	@$(PART) --times

.PHONY: unit
unit: ## pure cores, loops and edges without root or network; seconds
	go test -short $$(go list ./... | grep -v -e /test/ -e /simulation) ./test/cluster/...

.PHONY: simulation
simulation: ## the election, under faults, from 20,000 seeds (ARPEGGIO_SIM_SCHEDULES)
	ARPEGGIO_SIM_SCHEDULES=$${ARPEGGIO_SIM_SCHEDULES:-20000} go test -count=1 -timeout 30m ./agent/election/simulation/...

.PHONY: soak
soak: ## the same from a million seeds; hours
	ARPEGGIO_SIM_SCHEDULES=$${ARPEGGIO_SIM_SCHEDULES:-1000000} go test -count=1 -timeout 24h -run TestSchedules ./agent/election/simulation/...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZ_TIME (10m) each, one after the other (FUZZ_PKG=./agent/neighbor)
	@./hack/fuzz $(FUZZ_PKG)

.PHONY: wire
wire: ## real sockets in network namespaces (root)
	ARPEGGIO_FLOOD_RATE=$${ARPEGGIO_FLOOD_RATE:-20000} go test -count=1 ./test/wire/...

.PHONY: soak-neighbors
soak-neighbors: ## a kernel in a hurry probes a VIP for ten minutes, and no entry fails (root; ARPEGGIO_PROBE_MINUTES)
	ARPEGGIO_PROBE_MINUTES=$${ARPEGGIO_PROBE_MINUTES:-10} go test -count=1 -timeout 24h -v -run TestKernelThatProbesKeepsItsEntries ./test/wire/...

.PHONY: integration
integration: bin/lab ## controllers and CRDs against a real kube-apiserver
	KUBEBUILDER_ASSETS=$$($(BIN)/lab build 2>/dev/null | head -1) go test -count=1 ./test/integration/...

.PHONY: e2e
e2e: bin/lab image manifests ## the real cluster, seen from a client on its LAN, with the figures (root)
	go test -count=1 -p 1 -timeout 10m -tags e2e ./test/cluster
	go test -count=1 -p 1 -timeout 30m -tags e2e -v ./test/e2e/...

.PHONY: bench-failover
bench-failover: bin/lab image manifests ## what clients notice of faults, beside keepalived (root; long; BENCH_ROUNDS, BENCH_ONLY, BENCH_RESUME=1)
	go build -o $(BIN)/bench-failover ./test/bench/failover
	$(BIN)/bench-failover

.PHONY: bench-wire
bench-wire: ## how soon, how many and at what cost ARP and NDP are answered, beside the kernel (root; minutes; BENCH_SECONDS, BENCH_RATES, BENCH_ONLY)
	go build -o $(BIN)/bench-wire ./test/bench/wire
	$(BIN)/bench-wire

.PHONY: lint
lint: ## golangci-lint
	$(LINT) run ./...

.PHONY: verify
verify: generate manifests ## what is generated is current, and go.mod is tidy
	go mod tidy
	@git diff --exit-code -- api config go.mod go.sum || { echo "verify: generated files differ: commit what 'make generate' writes"; exit 1; }

##@ Build it

.PHONY: build
build: ## bin/linux_ARCH/arpeggio, static
	GOOS=linux GOARCH=$(ARCH) $(GO_BUILD) -o $(BIN)/linux_$(ARCH)/arpeggio ./cmd/arpeggio

.PHONY: image
image: build ## the image, as bin/arpeggio.tar (root: the binary gets a file capability)
	setcap cap_net_raw=p $(BIN)/linux_$(ARCH)/arpeggio
	@rm -f $(BIN)/arpeggio.tar
	buildah --storage-driver vfs --root $(BIN)/buildah --runroot $(BIN)/buildah/run \
		bud --quiet --isolation chroot --build-arg TARGETARCH=$(ARCH) -t $(IMAGE) . >/dev/null
	buildah --storage-driver vfs --root $(BIN)/buildah --runroot $(BIN)/buildah/run \
		push --quiet $(IMAGE) docker-archive:$(BIN)/arpeggio.tar:$(IMAGE)
	@rm -rf $(BIN)/buildah
	@echo "image $(IMAGE) in bin/arpeggio.tar"

.PHONY: generate
generate: ## deep copies, CRDs and roles from the markers in the code
	$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd
	$(TOOL) controller-gen rbac:roleName=arpeggio-manager paths=./controllers/... output:rbac:dir=config/rbac

.PHONY: manifests
manifests: ## dist/install.yaml: one kubectl apply installs all
	@mkdir -p dist
	$(TOOL) kustomize build config/default | sed 's|ghcr.io/arpeggio-lb/arpeggio:latest|$(IMAGE)|' > dist/install.yaml

bin/lab: FORCE
	go build -o $@ ./test/cluster/lab

.PHONY: lab-build
lab-build: bin/lab ## what the lab runs: Debian packages, and Kubernetes into the user's cache
	$(BIN)/lab build

.PHONY: clean
clean: ## remove bin and dist; the lab's cache stays
	rm -rf $(BIN) dist

FORCE:
