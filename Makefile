# Each target installs what it needs: Go and, on Debian, apt are enough.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30s
ROUNDS ?= 5
SHARD ?= 1/1

# The same flags for running, testing, checking and shipping, so that each package is compiled
# once: gin without MessagePack (6 MB), time zones in the binary, no path of this machine, no C.
# Other flags of GOFLAGS are kept.
GOFLAGS := $(strip $(filter-out -tags=% -trimpath,$(shell go env GOFLAGS)) -trimpath -tags=nomsgpack,timetzdata)
export CGO_ENABLED := 0
export GOFLAGS FUZZTIME

# The linter of the API document sends no telemetry and looks for no update.
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

TOOL := go tool -modfile=tools/go.mod
GOLANGCI := go tool -modfile=tools/lint/go.mod golangci-lint
REDOCLY := tools/openapi/node_modules/.bin/redocly
MAX_SIZE := 42000000

# SQLite is C translated to Go, on memory of its own: the race detector sees nothing
# there, and its instrumentation makes each statement ten times as slow. The driver
# around it is instrumented: a generic type that an uninstrumented package shares with
# others, such as sync.Map, would lose its instrumentation everywhere.
UNRACED := -gcflags=modernc.org/sqlite/lib="-race=false -d=checkptr=0" -gcflags=modernc.org/libc="-race=false -d=checkptr=0"

# Model tests, searches and long tables run separately, without the race detector: they
# take most of their package's time and are sequential. Concurrency has its own tests.
MODELS := ^(TestSessionModel|TestRefreshModel|TestRetryAfterAtAnyTime|TestOfflineSearch|TestTokensEveryByteCounts|TestProblemsRepeatNothing|TestPuzzles|TestCredentialIsGood|TestTicketIsGood|TestRetryAfterOfEachLimit|TestJanitorChangesNoAnswer)$$

# Packages without concurrency, or that play clients to the program, whose races others
# look for: the race detector would only make them slow.
UNRACED_PACKAGES := ./cli ./conformance ./model ./router ./test/architecture

# Tests that have a long form, which MENSHEN_SOAK asks for.
SOAK ?= ^Test(Crash|DatabaseCrash|DatabaseFaults|DatabaseRefuses|RestartsUnderLoad|Histories|LoginRaces|RefreshRaces|CodeRaces|LittleMemory|SlowSockets|SteadyState|BackupUnderLoad|Strangers)$$

.DEFAULT_GOAL := help
.PHONY: help run build web web-check web-test client-test test test-short test-mysql test-cluster test-group test-clock soak verify deploy-check model mutants mutants-check mutants-update fuzz bench bench-check bench-peer bench-micro bench-write lint lint-go lint-openapi clients-check lint-full vuln licenses deadcode docs check clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start menshen on :8080 with SQLite in ./data
	go run .

build: ## Build the static binary ./menshen
	go build -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o menshen .
	@awk -v bytes="$$(wc -c <menshen)" 'BEGIN { printf "menshen %s: %.1f MB\n", "$(VERSION)", bytes / 1e6 }'

web: web/node_modules/.ok clients/typescript/node_modules/.ok ## Build the pages from web/ into router/web and router/console, which are committed
	npm --prefix web run --silent types
	npm --prefix web run --silent build -- --logLevel warn

# Where there is no Node, the committed pages are taken as they are.
web-check:
	@if ! command -v npm >/dev/null; then echo "web: not compared, there is no npm"; exit 0; fi; \
	before=$$(find router/web router/console clients/typescript/src web/src/console/document.ts -type f | LC_ALL=C sort | xargs cksum) && $(MAKE) --no-print-directory client-test web && \
		test "$$before" = "$$(find router/web router/console clients/typescript/src web/src/console/document.ts -type f | LC_ALL=C sort | xargs cksum)" || \
		{ echo "router/web, router/console, or the types of the client or the console were not up to date, or a test of the client failed; 'make client-test web' and commit"; exit 1; }

web-test: web/node_modules/.ok build ## Test the pages in Chromium (PICTURE=docs/demo.png also takes README's picture)
	@scripts/need chromium chromium fonts-noto-cjk
	PICTURE='$(abspath $(PICTURE))' MENSHEN='$(CURDIR)/menshen' npm --prefix web test

client-test: clients/typescript/node_modules/.ok ## Generate the types of the TypeScript client, run its tests and play menshen conformance to it
	npm --prefix clients/typescript run --silent types
	npm --prefix clients/typescript test --silent
	go run . conformance node clients/typescript/conformance.mjs
	go run . conformance -run 'push-*' node clients/typescript/conformance.mjs --held

%/node_modules/.ok: %/package-lock.json
	@scripts/need node nodejs npm
	@scripts/need npm npm
	npm --prefix $* ci --no-fund --no-audit --loglevel=error --ignore-scripts
	@touch $@

test: ## Run all tests on SQLite and a temporary MariaDB, with the race detector
	@scripts/need gcc gcc libc6-dev
	go test $(UNRACED_PACKAGES)
	scripts/with-mariadb go test ./config ./service/... -run '$(MODELS)' -timeout 15m
	CGO_ENABLED=1 scripts/with-mariadb go test -race $(UNRACED) -skip '$(MODELS)' -timeout 30m $$(go list ./... | grep -vxF $(addprefix -e menshen/,$(UNRACED_PACKAGES:./%=%)))

test-short: ## Run the tests on SQLite alone, without the race detector
	@echo "SQLite alone: 'make test' tests MariaDB as well." >&2
	env -u MENSHEN_TEST_MYSQL go test -short ./...

test-mysql: ## Run the tests of the database, the services and the program on a temporary Oracle MySQL
	MENSHEN_TEST_DRIVER=mysql scripts/with-mysql go test -timeout 30m ./repository/... ./service/... ./app/... ./test/scenario ./test/e2e

test-clock: ## Test instances on a MariaDB whose clock jumps, by libfaketime
	MARIADB_CLOCK=1 scripts/with-mariadb go test -tags=nomsgpack,timetzdata,cluster -count=1 -timeout 10m -run '^TestDatabaseClock$$' -v ./test/e2e

test-cluster: ## Test an instance on each node of a temporary Galera cluster of three
	scripts/with-galera go test -tags=nomsgpack,timetzdata,cluster -count=1 -timeout 20m -run Cluster -v ./test/e2e/...

test-group: ## Test an instance on each node of a temporary MySQL group of three primaries
	scripts/with-group go test -tags=nomsgpack,timetzdata,cluster -count=1 -timeout 20m -run 'Cluster|Group' -v ./test/e2e/...

soak: ## Run the long forms of the tests of faults (docs/reliability.md) on MariaDB and MySQL: takes hours
	MENSHEN_SOAK=1 scripts/with-mariadb go test ./test/e2e -run '$(SOAK)' -count=1 -parallel 1 -timeout 6h -v
	MENSHEN_SOAK=1 scripts/with-mysql go test ./test/e2e -run '$(SOAK)' -skip '/^sqlite$$' -count=1 -parallel 1 -timeout 6h -v

verify: ## Run jose, jwx and nginx as docs/verify.md and deploy/nginx.conf show them, and Chromium with /challenge/pow.js
	scripts/verify

deploy-check: ## Check the unit in deploy/ with systemd and the alarms with promtool
	scripts/deploy-check

model: ## Run 10,000 sequences of the model test of sessions against both databases
	scripts/with-mariadb go test ./service -run '^TestSessionModel$$' -count=1 -timeout 60m -v -rapid.checks=2000

mutants: ## Make each mistake of scripts/mutants in turn and print the test that fails (PATTERN, SHARD=I/N)
	@scripts/mutate -pattern '$(PATTERN)' -shard '$(SHARD)'

mutants-check: ## Check that each mistake of scripts/mutants has one place and compiles there
	@scripts/mutate -list

mutants-update: ## Update scripts/mutants to the current code, after renames and moves
	@scripts/mutate -update

fuzz: ## Run each fuzz target for FUZZTIME (30s)
	scripts/fuzz

bench: ## Measure the binary against a bare Gin server, with durable servers of MariaDB and MySQL; write docs/performance.md
	MYSQL_DURABLE=1 scripts/with-mysql sh -c 'MENSHEN_BENCH_MYSQL=$$MENSHEN_TEST_MYSQL MARIADB_DURABLE=1 scripts/with-mariadb \
		go run ./bench/load -write docs/performance.md -ratios bench/ratios.json'

bench-check: ## Compare ratios of a shorter run with bench/ratios.json: fails beyond 15 %
	MARIADB_DURABLE=1 scripts/with-mariadb go run ./bench/load -quick -ratios bench/ratios.json -check

bench-peer: ## Compare with the Supabase Auth binary PEER, on a durable PostgreSQL (docs/performance.md)
	@test -x '$(PEER)' || { echo "PEER=FILE names no binary of Supabase Auth" >&2; exit 2; }
	MARIADB_DURABLE=1 scripts/with-mariadb scripts/with-postgres sh -c \
		'go run ./bench/load -peer "$(abspath $(PEER))" -peer-database "$$MENSHEN_BENCH_POSTGRES"'

bench-micro: ## Run the benchmarks of the packages on SQLite and a durable, temporary MariaDB
	MARIADB_DURABLE=1 scripts/with-mariadb go test -run '^$$' -bench . -benchmem ./...

bench-write: ## Compare writes with single commits and with hand-written SQL, ROUNDS (5) rounds
	MARIADB_DURABLE=1 scripts/with-mariadb go test -run '^$$' -bench 'GroupCommit|RawSQL|Statements' -benchtime $(ROUNDS)x -timeout 30m ./bench

lint: lint-go lint-openapi lint-full vuln ## All linters: format, vet, staticcheck, golangci-lint with gosec, govulncheck, API document
	go mod verify

lint-go:
	@unformatted=$$(find . -name '*.go' -not -path '*/node_modules/*' -exec gofmt -l {} +) && \
		if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags=nomsgpack,timetzdata,cluster ./test/e2e
	$(TOOL) staticcheck ./...

lint-openapi: $(REDOCLY)
	$(REDOCLY) lint --config tools/openapi/redocly.yaml

clients-check: $(REDOCLY) ## Check that oapi-codegen and openapi-ts make clients of the admin API that work
	go -C tools test -count=1 ./clients

$(REDOCLY): tools/openapi/package-lock.json tools/openapi/package.json
	@scripts/need node nodejs npm
	@scripts/need npm npm
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a * 100 + +b < 2019 ? 1 : 0)' || \
		{ echo "Node $$(node --version) is too old for the API linter: install 20.19 or newer."; exit 1; }
	npm --prefix tools/openapi ci --no-fund --no-audit --loglevel=error
	@touch $@

lint-full: ## Run golangci-lint with gosec (takes minutes the first time, to build it)
	$(GOLANGCI) run ./...

vuln: ## Look for known vulnerabilities of modules and of the API page (VULN=required: fails if a database cannot be had)
	@scripts/vuln

licenses: ## Generate docs/licenses.md; fails for licences that must not be linked
	@go -C tools run ./licenses .. >docs/licenses.md.new || { rm -f docs/licenses.md.new; exit 1; }
	@mv docs/licenses.md.new docs/licenses.md

deadcode: ## List functions that no code calls, tests included
	$(TOOL) deadcode -test ./...

docs: ## Generate docs/errors.md from the table of failures
	go test ./model -run '^TestErrorsDocument$$' -count=1 -update

# CI leaves out golangci-lint: building it takes five minutes of processor time.
check: lint-go lint-openapi clients-check build mutants-check web-check ## Run what CI checks besides tests: quick linters, generated docs, licences, modules, static build
	@test "$$(wc -c <menshen)" -le $(MAX_SIZE) || { echo "menshen is larger than $(MAX_SIZE) bytes"; exit 1; }
	@before=$$(cksum docs/errors.md) && $(MAKE) --no-print-directory docs && test "$$before" = "$$(cksum docs/errors.md)" || \
		{ echo "docs/errors.md was not up to date; 'make docs' and commit it"; exit 1; }
	@go -C tools test ./licenses ./mutate ./page
	@before=$$(cksum docs/licenses.md) && $(MAKE) --no-print-directory licenses && test "$$before" = "$$(cksum docs/licenses.md)" || \
		{ echo "docs/licenses.md was not up to date; 'make licenses' and commit it"; exit 1; }
	@go mod graph | grep -q "^modernc.org/sqlite@$$(go list -m -f '{{.Version}}' modernc.org/sqlite) modernc.org/libc@$$(go list -m -f '{{.Version}}' modernc.org/libc)$$" || \
		{ echo "modernc.org/libc is not the version that modernc.org/sqlite was translated for"; exit 1; }
	go mod tidy -diff
	go mod verify

clean: ## Remove the files that the targets made; data/ stays
	rm -rf menshen dist tools/openapi/node_modules tools/verify/node/node_modules web/node_modules clients/typescript/node_modules clients/typescript/dist
