# Needs Go, git, make and a C compiler; everything else is built or fetched on first use.
SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help

TOOL := go tool -modfile=go.tools.mod
CHART := charts/pac-lease-queue

##@ Use it

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Watch one push being queued across replicas (RUNS= LIMIT= REPLICAS= KILL=0 KEEP=1 QUEUE=pac WATCHERS=)
	@echo "compiling the demo itself (minutes on an empty Go cache, then moments)" >&2
	@go run ./e2e/demo

##@ Work on it

.PHONY: build
build: ## Build the program into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/pac-lease-queue ./addon/cmd/pac-lease-queue

.PHONY: stack
stack: ## Build every component of the embedded stack that is not in the cache
	@go run ./e2e/stack/cmd/stack build

.PHONY: test
test: stack ## Run all tests, those on the embedded stack included
	go test -race -count=1 -timeout 25m ./...

.PHONY: test-short
test-short: ## Run the tests that need no stack
	go test -race -short ./...

.PHONY: lint
lint: ## Check the code, the scripts and the chart
	test -z "$$($(TOOL) gofumpt -l addon e2e | tee /dev/stderr)"
	go vet ./...
	go vet -tags failpoints ./addon/...
	$(TOOL) staticcheck ./...
	scripts/shellcheck.sh .ci/run scripts/*.sh
	"$$(go run ./e2e/stack/cmd/stack build helm | awk '{print $$2}')" lint --strict --quiet $(CHART)

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) gofumpt -w addon e2e

.PHONY: clean
clean: ## Remove what was built here (the cache of stack components stays)
	rm -rf bin
