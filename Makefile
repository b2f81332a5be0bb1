# The project's verbs. `make` lists them; CI calls the same ones.
# Everything that a verb needs is set up by the verb itself: Python 3.11+, Rust and make are enough.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUST   := simulated_exchange/engine
export VIRTUAL_ENV := $(abspath $(VENV))
export SLIPSTREAM_DATA ?= ../shared/data

# rustup's cargo looks for its toolchains under $HOME. Where HOME is another one (a sandbox, CI),
# the folder that cargo itself lies in tells where they are.
CARGO_FOLDER := $(dir $(shell command -v cargo))
ifndef RUSTUP_HOME
ifeq ($(wildcard $(HOME)/.rustup/toolchains),)
ifneq ($(wildcard $(CARGO_FOLDER)../../.rustup/toolchains),)
export RUSTUP_HOME := $(abspath $(CARGO_FOLDER)../../.rustup)
endif
endif
endif

RUST_SOURCES := $(shell find $(RUST) -name '*.rs' -not -path '*/target/*' 2>/dev/null) \
	$(shell find $(RUST) -name Cargo.toml -not -path '*/target/*' 2>/dev/null) $(RUST)/Cargo.lock

# The tests wait more than they work: two files at a time.
TWO := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-data test-system lint types bench soak fuzz soak-follower soak-feed soak-monitor lock all

help: ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(VENV)/.locked: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

$(VENV)/.built: $(VENV)/.locked pyproject.toml $(RUST_SOURCES)
	PIP_QUIET=1 $(BIN)/maturin develop --release --locked --quiet
	touch $@

setup: $(VENV)/.built ## make the environment and build the engine

demo: setup ## one leader, five followers, a venue and a broker, for a minute; ends with the slippage report
	$(BIN)/relay demo $(ARGS)

test: setup ## everything that Python and Rust alone can show
	cd $(RUST) && cargo test --locked --quiet
	$(BIN)/pytest $(TWO) -m "not data and not system" $(ARGS)

test-data: setup ## the same promises on recorded market data (SLIPSTREAM_DATA)
	$(BIN)/pytest $(TWO) -m data $(ARGS)

test-system: setup ## what needs a browser, and a hundred kills of the venue
	$(BIN)/pytest $(TWO) -m system $(ARGS)

lint: setup ## style, layers, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	cd $(RUST) && cargo fmt --check && cargo clippy --locked --all-targets -- -D warnings

types: setup ## mypy --strict, and the engine's stub held against the engine
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest simulated_exchange._engine

bench: setup ## every speed figure, beside its baseline, in one interleaved run (ONLY=name for one)
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

soak: ## ten million random commands with every invariant after each; SOAK_COMMANDS=N for another number
	cd $(RUST) && SOAK_COMMANDS=$${SOAK_COMMANDS:-10000000} \
	  cargo test --release --locked --quiet --package exchange-soak -- --nocapture

# cargo-fuzz wants a compiler of the nightly channel; the rest of the project does without.
$(BIN)/cargo-fuzz:
	@cargo +nightly --version >/dev/null 2>&1 || \
	  { echo "make fuzz needs a nightly compiler: rustup toolchain install nightly" >&2; exit 1; }
	cargo install --quiet --locked --root $(VENV) cargo-fuzz

# Long inputs from the start (len_control): a stream of a few bytes is hardly a command.
fuzz: $(BIN)/cargo-fuzz ## coverage-guided fuzzing, FUZZ_SECONDS=N for each target; ONLY=apply, decode or restore
	cd $(RUST)/fuzz && for target in $(or $(ONLY),decode apply restore); do \
	  mkdir -p corpus/$$target && PATH="$(abspath $(BIN)):$$PATH" cargo +nightly fuzz run --fuzz-dir . $$target -- \
	    -max_total_time=$(or $(FUZZ_SECONDS),60) -max_len=4096 -len_control=0 -print_final_stats=1 || exit 1; done

soak-follower: setup ## 2,000 copied orders under 200 kill -9, 13 failpoints x 200 seeds, a minute's storm and partition, 10,000 signals behind; SOAK_SEED=N plays one again
	SOAK_ORDERS=$${SOAK_ORDERS:-2000} SOAK_KILLS=$${SOAK_KILLS:-200} \
	  $(BIN)/pytest -s tests/integration/test_follower_soak.py
	FAILPOINT_SEEDS=$${FAILPOINT_SEEDS:-200} $(BIN)/pytest -s tests/property/test_follower_failpoints.py
	STORM_S=$${STORM_S:-60} SWITCH_SIGNALS=$${SWITCH_SIGNALS:-500} FLIPS=$${FLIPS:-1000} $(BIN)/pytest -s \
	  tests/integration/test_follower_storms.py tests/integration/test_follower_faults.py -k "f4 or f23 or flipped"
	PARTITION_S=$${PARTITION_S:-60} FLOOD=$${FLOOD:-10000} \
	  $(BIN)/pytest -s -o timeout=3600 tests/integration/test_follower_table.py -k "f11 or f22"

soak-feed: setup ## every fault of the feed: kills, power loss, flipped bytes, a minute's freeze, cut lines, put-outs; a million changed messages; FAULT_SEED=N plays one again
	FAULT_ROUNDS=$${FAULT_ROUNDS:-20} FAULT_SECONDS=$${FAULT_SECONDS:-60} $(BIN)/pytest -s -o timeout=900 \
	  tests/integration/test_feed_faults.py tests/integration/test_publisher_on_broker.py \
	  tests/integration/test_two_publishers.py \
	  tests/integration/test_follower_cut_off.py tests/integration/test_tls.py \
	  tests/integration/test_follower_put_out.py tests/integration/test_private_group.py
	MUTATIONS=$${MUTATIONS:-1000000} $(BIN)/pytest -s -o timeout=900 tests/property/test_protocol_mutations.py

soak-monitor: setup ## the drift monitor under 1,000 kill -9 while reports come in, a tenth on PostgreSQL; MONITOR_SEED=N plays one again
	MONITOR_KILLS=$${MONITOR_KILLS:-1000} $(BIN)/pytest -s -o timeout=3600 tests/integration/test_monitor_kills.py

lock: ## write requirements.lock anew from pyproject.toml: hashes, no addresses
	$(BIN)/uv pip compile pyproject.toml --extra dev --python-version 3.11 --universal \
	  --generate-hashes --no-header --quiet -o requirements.lock

all: lint types test ## what a change must pass
