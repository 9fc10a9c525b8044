# Needs Go, git, make and a C compiler; everything else is built or fetched on first use.
SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help

# What is run from the sources is compiled as the components of the embedded stack are, so that
# nothing that both need is compiled twice; tests are compiled with the race detector. Trimmed paths
# let every clone use what another one compiled.
RUN := CGO_ENABLED=0 go run -trimpath
BUILD := $(RUN) ./e2e/stack/cmd/build
# make lint vets.
# What the tests of the webhook run on.
OLDEST := -kubernetes=oldest
TEST := go test -race -trimpath -vet=off
TOOL := go tool -modfile=scripts/tools/go.mod
# Imports are in three groups: the standard library, other modules, this module.
IMPORTS := -s standard -s default -s localmodule
MODULE := github.com/pac-lease-queue/pac-lease-queue
CHART := charts/pac-lease-queue
# Where end-to-end tests on kind leave what a failure shows, junit.xml and summary.md.
export E2E_ARTIFACTS ?= bin/kind/artifacts

##@ Use it

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Watch one push being queued across replicas (RUNS= LIMIT= REPLICAS= KILL=0 KEEP=1 QUEUE=pac WATCHERS=)
	@$(BUILD) -quiet -with ./e2e/show/demo,./addon/cmd/pac-lease-queue
	@$(RUN) ./e2e/show/demo

.PHONY: chaos
chaos: ## Break everything while runs go through, and judge (DURATION=10m SEED= REPLICAS= QUEUES= RUNS=)
	@$(BUILD) -quiet -with ./e2e/show/chaos
	@$(RUN) ./e2e/show/chaos

.PHONY: siege
siege: ## Let a hostile tenant attack, and see what that costs the others (DURATION=5m SEED= REPLICAS= ONLY=name,name GUARD=on|off MEMORY=128Mi)
	@$(BUILD) -quiet -with ./e2e/show/siege,./addon/cmd/pac-lease-queue
	@$(RUN) ./e2e/show/siege

.PHONY: bench
bench: ## Measure the queue beside a floor, PAC's own queue and a stand-in for Kueue (QUEUES= RUNS= LIMIT= EVENT= ONLY=name,name WITH=name,name ROUNDS= LABEL=)
	@$(BUILD) -quiet -with ./e2e/show/bench,./addon/cmd/pac-lease-queue
	@$(RUN) ./e2e/show/bench

.PHONY: museum
museum: ## See PAC's own queue fail in every known way, and the add-on hold (ONLY=name,name)
	@$(BUILD) -quiet -with ./e2e/show/museum,./addon/cmd/pac-lease-queue
	@$(RUN) ./e2e/show/museum

.PHONY: e2e
e2e: VERSIONS = $(if $(KUBERNETES_VERSION),-kubernetes=$(KUBERNETES_VERSION)) $(if $(TEKTON_VERSION),-tekton=$(TEKTON_VERSION)) $(if $(PAC_VERSION),-pac=$(PAC_VERSION))
e2e: stack ## Play the end-to-end suite on the embedded stack (HOLD=policy|webhook ONLY=scenario KUBERNETES_VERSION=1.30 TEKTON_VERSION= PAC_VERSION=)
	$(TEST) -count=1 -timeout 45m ./e2e/suite/onstack -run '^TestSuite$$$(if $(ONLY),/^$(ONLY)$$)' $(if $(HOLD),-hold=$(HOLD)) $(VERSIONS)

.PHONY: versions
versions: ## Play the main scenarios on every pinned version of Kubernetes, Tekton and PAC, and write the table (ONLY=version,version)
	@$(RUN) ./e2e/show/versions $(if $(ONLY),-only=$(ONLY)); code=$$?; $(MAKE) --silent generate && exit $$code

.PHONY: kueue
kueue: stack ## Play the add-on beside Kueue, which is built from its module (minutes on an empty Go cache)
	$(TEST) -tags kueue -count=1 -timeout 40m ./e2e/integration/kueue

.PHONY: e2e-kind
e2e-kind: ## Terraform apply on kind, the same suite, destroy (BACKEND= HOLD= KUBERNETES_VERSION= ONLY=scenario,scenario)
	@mkdir -p $(E2E_ARTIFACTS)
	$(TOOL) gotestsum --format standard-verbose --junitfile $(E2E_ARTIFACTS)/junit.xml -- -tags terraform -count=1 -timeout 100m ./e2e/suite/kind -run '^TestKind$$'

.PHONY: e2e-kind-up
e2e-kind-up: ## Put the whole system on a kind cluster of its own (REPLICAS= BACKEND= HOLD= WATCHERS= CLUSTER= GITEA_PORT=)
	@$(RUN) ./e2e/suite/kind/cmd/kit up

.PHONY: e2e-kind-down
e2e-kind-down: ## Remove what e2e-kind-up made, in whatever state it is
	@$(RUN) ./e2e/suite/kind/cmd/kit down

##@ Work on it

.PHONY: build
build: ## Build the program into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/pac-lease-queue ./addon/cmd/pac-lease-queue

.PHONY: image
image: ## Make the container image for amd64 and arm64 in bin/ (VERSION= IMAGE= PUSH=1)
	@$(RUN) ./scripts/image/cmd/image $(if $(VERSION),-version $(VERSION)) $(if $(IMAGE),-ref $(IMAGE)) $(if $(PUSH),-push)

.PHONY: stack
stack: ## Build every component of the embedded stack that is not in the cache
	@$(BUILD) $(VERSIONS)
	@$(BUILD) $(OLDEST) -quiet kube-apiserver kube-controller-manager

# The package that takes longest goes first, so that the others run beside it.
.PHONY: test
test: stack ## Run the tests, those on the embedded stack included
	$(TEST) -count=1 -timeout 45m ./e2e/suite/onstack $$(go list ./... | grep -v /e2e/integration/metrics$$)

.PHONY: test-nightly
test-nightly: test-holds alerts kueue simulate fuzz museum chaos siege versions ## Run what a change need not wait for (SEEDS= FUZZTIME= DURATION=)

.PHONY: test-holds
test-holds: stack ## Run every test on the stack with either hold, the webhook and the guard on the oldest Kubernetes
	$(TEST) -count=1 -timeout 60m ./e2e/suite/onstack -hold=policy
	$(TEST) -count=1 -timeout 60m ./e2e/suite/onstack -hold=webhook $(OLDEST)
	$(TEST) -count=1 ./e2e/integration/admission $(OLDEST)

.PHONY: alerts
alerts: stack ## See each alert of the chart fire on a provoked fault, on a real Prometheus, and none in a normal run
	$(TEST) -count=1 -timeout 45m ./e2e/integration/metrics

.PHONY: test-short
test-short: ## Run the tests that need no stack
	$(TEST) -short ./...

.PHONY: simulate
simulate: ## Run the product on simulated clusters, and see that deliberate bugs are caught (SEEDS=20000)
	go test -v ./e2e/simulation -run 'TestSeeds|TestMutants' -count=1 -timeout 60m -simulate.seeds=$(or $(SEEDS),20000) -simulate.table

.PHONY: fuzz
fuzz: ## Fuzz everything that parses, each target for FUZZTIME (1m)
	scripts/fuzz.sh $(or $(FUZZTIME),1m)

.PHONY: e2e-matrix
e2e-matrix: ## Print what the nightly end-to-end tests run, as JSON (BACKEND= HOLD= PROVIDER= KUBERNETES_VERSION=)
	@scripts/e2e-matrix.sh

.PHONY: dist
dist: ## Make everything of a release in dist/ (VERSION= IMAGE=)
	@scripts/dist.sh "$(VERSION)" $(IMAGE)

.PHONY: publish
publish: ## Push image and chart of dist/ (VERSION= IMAGE= CHARTS=)
	@scripts/publish.sh "$(VERSION)" "$(IMAGE)" "$(CHARTS)"

.PHONY: generate
generate: ## Make the CRD of its types, the chart's schema and README of the comments in its values.yaml, and the tables of the docs
	@$(call generate-api,$(CHART)/files/crds)
	@$(call generate-chart,$(CHART))
	@go test ./e2e/integration/chart -run '^Test(Observability|Tested|Queues)Doc$$' -update >/dev/null

# Pictures of the docs, and the page and look of each: a test takes every page in every look.
PICTURES := run=run-desk-light queue=queue-few-desk-light queues=list-desk-light phone=run-phone-dark

.PHONY: pictures
pictures: stack ## Take the pictures of the board in the docs anew
	$(TEST) -count=1 ./e2e/integration/board -run '^TestLooks$$' -pictures $(CURDIR)/bin/pictures
	@mkdir -p docs/board; for picture in $(PICTURES); do cp bin/pictures/$${picture#*=}.png docs/board/$${picture%=*}.png; done

.PHONY: verify
verify: ## Check that what is generated is what `make generate` makes
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	cp -r $(CHART)/. "$$tmp" && rm "$$tmp"/README.md "$$tmp"/values.schema.json && $(call generate-chart,"$$tmp") && \
	$(call generate-api,"$$tmp"/files/crds) || exit; \
	diff -ru $(CHART) "$$tmp" || { echo 'Not as "make generate" makes it: - is there, + should be.' >&2; exit 1; }

# Deep copies of the types are made beside them.
define generate-api
$(TOOL) controller-gen object crd paths=./addon/api/... output:crd:dir=$(1)
endef

define generate-chart
$(TOOL) helm-values-schema-json --config $(CHART)/.schema.yaml --values $(1)/values.yaml --output $(1)/values.schema.json >/dev/null && \
	$(TOOL) helm-docs --chart-search-root $(1) --sort-values-order file --log-level warning
endef

.PHONY: lint
lint: export CGO_ENABLED := 0
lint: export GOFLAGS := $(strip $(shell go env GOFLAGS) -trimpath)
lint: verify bin/lint ## Check the code, the scripts and what is generated (VULNDB=url VULNS=required)
	test -z "$$({ $(TOOL) gofumpt -l addon e2e scripts; $(TOOL) gci list $(IMPORTS) addon e2e scripts; } | tee /dev/stderr)"
	bin/lint ./...
	bin/lint -tags failpoints ./addon/engine
	bin/lint -tags kueue ./e2e/integration/kueue
	scripts/arrows.sh
	@$(RUN) ./scripts/width
	@$(RUN) ./scripts/vulns $(if $(VULNDB),-db $(VULNDB)) $(if $(VULNS),-$(VULNS)) ./addon/...
	$(TOOL) actionlint
	scripts/shellcheck.sh .ci/run $$(git ls-files -co --exclude-standard '*.sh')
	terraform/check.sh --if-there

# Go knows whether it is up to date.
.PHONY: bin/lint
bin/lint:
	CGO_ENABLED=0 go build -C scripts/tools -trimpath -o $(CURDIR)/bin/lint ./lint

.PHONY: lint-terraform
lint-terraform: bin/lint ## Check what puts the system on kind (E2E_TERRAFORM=program; without one, OpenTofu is built)
	bin/lint -tags terraform ./e2e/suite/kind
	terraform/check.sh

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) gofumpt -w addon e2e scripts
	$(TOOL) gci write $(IMPORTS) addon e2e scripts

.PHONY: clean
clean: ## Remove what was built here (the cache of stack components stays)
	rm -rf bin dist
