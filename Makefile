# Every target sets up what it needs; `make demo` and `make test` are the two to know.
SHELL      = /bin/bash -euo pipefail
GO        ?= go
LINT       = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/evenkeel-dev/bin/golangci-lint
LINT_AT    = v2.15.0
ACTIONLINT = $(dir $(LINT))actionlint
PREFIX    ?= /usr/local
PROVIDERS  = $(notdir $(wildcard cmd/env-provider-*))

.PHONY: setup build demo test test-all conformance lint generate bench install clean

setup: ## packages and daemons (see setup.sh)
	@./setup.sh

build: setup ## bin/evenkeel, bin/env (the same file), bin/env-provider-NAME
	CGO_ENABLED=0 $(GO) build -tags urfave_cli_no_docs,grpcnotrace -o bin/evenkeel ./cmd/env
	ln -f bin/evenkeel bin/env
	$(GO) build -o bin/ $(PROVIDERS:%=./cmd/%)

demo: build ## env up of the example: real virtual machines, then containers, and an audit of both
	@test/demo.sh

REAL = EVENKEEL_TEST_REAL=1 EVENKEEL_TEST_REQUIRE=libvirt,docker,shop $(GO) test -count=1 -v

test: build ## vet, everything that boots nothing under the race detector, then the conformance of libvirt and docker on real machines
	$(GO) vet ./...
	$(GO) test -race -timeout 15m ./...
	$(REAL) -timeout 15m -run 'TestConformance$$' ./providers/libvirt/
	$(REAL) -timeout 10m -run 'TestConformance$$' ./providers/docker/
	@echo "make test left out (make test-all runs it): the suite once more with the seed laid by cloud-init; the example, kill -9 and a stranger"
	@echo "on real machines, and virtual machines beside containers of it; docker over tcp, over ssh, in a container, on control groups of version 2 and without root; image builds from nothing,"
	@echo "as a plain user, reproducibly (EVENKEEL_TEST_USER=NAME); boots under BIOS and UEFI"

test-all: test ## what takes long
	$(REAL) -p 1 -timeout 90m ./providers/libvirt/ ./providers/docker/ ./test/real/
	EVENKEEL_TEST_BUILD=1 $(GO) test -count=1 -v -timeout 90m -run Real ./images/
	tree=$$(bin/evenkeel image show web --json -f envs/examples/shop/env.yaml | sed -n 's/.*"path": *"\(.*tree.tar.zst\)".*/\1/p') && \
	EVENKEEL_TEST_BOOT=$$tree $(GO) test -count=1 -v -timeout 40m -run TestPackedTreeBoots ./images/

conformance: build ## make conformance PROVIDER=libvirt
	EVENKEEL_TEST_REQUIRE=$(PROVIDER) EVENKEEL_TEST_REAL=1 $(GO) test -timeout 30m -count=1 -v ./providers/$(PROVIDER)/

$(LINT):
	GOBIN=$(dir $@) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_AT)

$(ACTIONLINT):
	GOBIN=$(dir $@) $(GO) install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

lint: $(LINT) $(ACTIONLINT) ## gofmt, vet, golangci-lint, the import rule, the templates for CI
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(LINT) run ./...
	PATH="$(dir $(ACTIONLINT)):$$PATH" EVENKEEL_TEST_REQUIRE=actionlint $(GO) test -count=1 ./test/ci/

generate: ## the protocol's Go code
	$(GO) generate ./providers/plugin/...

bench: build ## ratios against rivals, medians of 5; writes bench.json and a table
	test/bench/run.sh

install: build ## PREFIX=/usr/local; bin/env is not installed over the system's
	install -d $(DESTDIR)$(PREFIX)/bin
	install bin/evenkeel bin/env-provider-* $(DESTDIR)$(PREFIX)/bin

clean:
	rm -rf bin
