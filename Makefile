# Every target sets up what it needs; `make demo` and `make test` are the two to know.
SHELL      = /bin/bash -euo pipefail
GO        ?= go
LINT       = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/evenkeel-dev/bin/golangci-lint
LINT_AT    = v2.15.0
PREFIX    ?= /usr/local
PROVIDERS  = $(notdir $(wildcard cmd/env-provider-*))
export EVENKEEL_TEST_REQUIRE

.PHONY: setup build demo test test-all conformance lint generate bench install clean

setup: ## packages and daemons (see setup.sh)
	@./setup.sh

build: setup ## bin/evenkeel, bin/env (the same file), bin/env-provider-NAME
	CGO_ENABLED=0 $(GO) build -tags urfave_cli_no_docs,grpcnotrace -o bin/evenkeel ./cmd/env
	ln -f bin/evenkeel bin/env
	$(GO) build -o bin/ $(PROVIDERS:%=./cmd/%)

demo: build ## env up of the example: real virtual machines
	@test/demo.sh

test: EVENKEEL_TEST_REQUIRE ?= libvirt
test: build ## unit tests under the race detector, then real machines
	$(GO) vet ./...
	$(GO) test -race ./...
	EVENKEEL_TEST_REAL=1 $(GO) test -timeout 15m -count=1 -v -run '$(REAL_SHORT)' ./providers/libvirt/ ./test/e2e/
	@echo "make test left out: what takes long. make test-all runs it."

test-all: test ## also image builds from nothing, boots under BIOS and UEFI, kill -9 on real machines

conformance: build ## make conformance PROVIDER=libvirt
	EVENKEEL_TEST_REQUIRE=$(PROVIDER) EVENKEEL_TEST_REAL=1 $(GO) test -timeout 30m -count=1 -v ./providers/$(PROVIDER)/

$(LINT):
	GOBIN=$(dir $@) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_AT)

lint: $(LINT) ## gofmt, vet, golangci-lint, the import rule
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(LINT) run ./...

generate: ## the protocol's Go code
	$(GO) generate ./providers/plugin/...

bench: build ## ratios against rivals, medians of 5; writes bench.json and a table
	test/bench/run.sh

install: build ## PREFIX=/usr/local; bin/env is not installed over the system's
	install -d $(DESTDIR)$(PREFIX)/bin
	install bin/evenkeel bin/env-provider-* $(DESTDIR)$(PREFIX)/bin

clean:
	rm -rf bin
