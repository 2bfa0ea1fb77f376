# Every target does its own set-up: Go and, on Debian, apt are enough.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30s
ROUNDS ?= 5

# One set of tags for what is run, tested, checked and shipped: no MessagePack in
# gin (6 MB), time zones in the binary. Other flags of your own stay.
GOFLAGS := $(strip $(filter-out -tags=%,$(shell go env GOFLAGS)) -tags=nomsgpack,timetzdata)
export GOFLAGS FUZZTIME

# The linter of the API document asks nobody and reports to nobody.
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

TOOL := go tool -modfile=tools/go.mod
GOLANGCI := go tool -modfile=tools/lint/go.mod golangci-lint
REDOCLY := tools/openapi/node_modules/.bin/redocly
MAX_SIZE := 42000000

# SQLite is C put into Go, on memory that is not Go's: the race detector sees
# nothing there, and its instruments make each statement ten times as slow.
UNRACED := modernc.org/...=-race=false -d=checkptr=0

# Models and searches run apart, without the race detector: they are most of the
# work of their package, act after act, and what may race has tests of its own.
MODELS := ^(TestSessionModel|TestRefreshModel|TestRetryAfterAtAnyTime|TestOfflineSearch|TestTokensEveryByteCounts)$$

.DEFAULT_GOAL := help
.PHONY: help run build test test-short test-cluster verify deploy-check model mutants fuzz bench bench-check bench-micro bench-write lint lint-go lint-openapi lint-full vuln licenses deadcode docs check clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start menshen on :8080 with SQLite in ./data
	go run .

build: ## Build the static binary ./menshen
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o menshen .
	@awk -v bytes="$$(wc -c <menshen)" 'BEGIN { printf "menshen %s: %.1f MB\n", "$(VERSION)", bytes / 1e6 }'

test: ## Test everything against SQLite and a throw-away MariaDB, with the race detector
	@scripts/need gcc gcc libc6-dev
	scripts/with-mariadb go test ./service -run '$(MODELS)' -timeout 5m
	CGO_ENABLED=1 scripts/with-mariadb go test -race -gcflags="$(UNRACED)" -skip '$(MODELS)' -timeout 15m ./...

test-short: ## Test against SQLite alone, without the race detector
	@echo "SQLite alone: 'make test' tests MariaDB as well." >&2
	env -u MENSHEN_TEST_MYSQL go test -short ./...

test-cluster: ## Test an instance on each node of a throw-away Galera cluster of three
	scripts/with-galera go test -tags=nomsgpack,timetzdata,cluster -count=1 -timeout 10m -run Cluster -v ./e2e/...

verify: ## Run jose, jwx and nginx as docs/verify.md and deploy/nginx.conf have them
	scripts/verify

deploy-check: ## Let systemd judge the unit and promtool the alarms in deploy/
	scripts/deploy-check

model: ## Run 10,000 sequences of the model test of sessions against both databases
	scripts/with-mariadb go test ./service -run '^TestSessionModel$$' -count=1 -timeout 60m -v -rapid.checks=2000

mutants: ## Make each mistake of scripts/mutants in turn and print which test notices
	scripts/mutate

fuzz: ## Run each fuzz target for FUZZTIME (30s)
	scripts/fuzz

bench: ## Load the whole binary beside a bare Gin server and a durable MariaDB; write docs/performance.md
	MARIADB_DURABLE=1 scripts/with-mariadb go run ./bench/load -write docs/performance.md -ratios bench/ratios.json

bench-check: ## Compare ratios of a shorter run with bench/ratios.json: fails beyond 15 %
	MARIADB_DURABLE=1 scripts/with-mariadb go run ./bench/load -quick -ratios bench/ratios.json -check

bench-micro: ## Run the benchmarks of packages against SQLite and a durable, throw-away MariaDB
	MARIADB_DURABLE=1 scripts/with-mariadb go test -run '^$$' -bench . -benchmem ./...

bench-write: ## Compare what writes with one commit each and with SQL by hand, ROUNDS (5) rounds
	MARIADB_DURABLE=1 scripts/with-mariadb go test -run '^$$' -bench 'Group|Hand|Statements' -benchtime $(ROUNDS)x -timeout 30m ./bench

lint: lint-go lint-openapi lint-full vuln ## All linters: format, vet, staticcheck, golangci-lint with gosec, govulncheck, API document
	go mod verify

lint-go:
	@unformatted=$$(find . -name '*.go' -not -path '*/node_modules/*' -exec gofmt -l {} +) && \
		if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags=nomsgpack,timetzdata,cluster ./e2e
	$(TOOL) staticcheck ./...

lint-openapi: $(REDOCLY)
	$(REDOCLY) lint --config redocly.yaml

$(REDOCLY): tools/openapi/package-lock.json tools/openapi/package.json
	@scripts/need node nodejs npm
	@scripts/need npm npm
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a * 100 + +b < 2019 ? 1 : 0)' || \
		{ echo "Node $$(node --version) is too old for the API linter: install 20.19 or newer."; exit 1; }
	npm --prefix tools/openapi ci --no-fund --no-audit --loglevel=error
	@touch $@

lint-full: ## Check with golangci-lint too, gosec among it (minutes, when it is built first)
	$(GOLANGCI) run ./...

vuln: ## Look for known vulnerabilities, if their data can be had (VULNDB: a local copy)
	@scripts/vuln

licenses: ## Generate docs/licenses.md, refusing what may not be linked
	@go -C tools run ./licenses .. >docs/licenses.md.new || { rm -f docs/licenses.md.new; exit 1; }
	@mv docs/licenses.md.new docs/licenses.md

deadcode: ## List functions that nothing reaches, tests included
	$(TOOL) deadcode -test ./...

docs: ## Generate docs/errors.md from the table of failures
	go test ./model -run '^TestErrorsDocument$$' -count=1 -update

# CI leaves golangci-lint out: to build it takes five minutes of processor time.
check: lint-go lint-openapi build ## What CI checks besides the tests: quick linters, generated docs, licences, modules, static build
	@test "$$(wc -c <menshen)" -le $(MAX_SIZE) || { echo "menshen is larger than $(MAX_SIZE) bytes"; exit 1; }
	@before=$$(cksum docs/errors.md) && $(MAKE) --no-print-directory docs && test "$$before" = "$$(cksum docs/errors.md)" || \
		{ echo "docs/errors.md was not up to date; 'make docs' and commit it"; exit 1; }
	@go -C tools test ./licenses
	@before=$$(cksum docs/licenses.md) && $(MAKE) --no-print-directory licenses && test "$$before" = "$$(cksum docs/licenses.md)" || \
		{ echo "docs/licenses.md was not up to date; 'make licenses' and commit it"; exit 1; }
	go mod tidy -diff
	go mod verify

clean: ## Remove what the targets made; your data/ stays
	rm -rf menshen dist tools/openapi/node_modules tools/verify/node/node_modules
