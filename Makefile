# Everything that CI does, and what one does by hand. `.ci/run` calls these targets, so the two
# cannot drift apart.

CARGO ?= cargo
LIBRARIES := $(patsubst %/Cargo.toml,%,$(wildcard ash-*/Cargo.toml))
EXAMPLES := $(patsubst examples/%.rs,%,$(wildcard examples/*.rs))
CONSUMERS := $(wildcard consumers/*/Cargo.toml)

.PHONY: all check fmt lint features fence test examples consumers doc bench bench-smoke fuzz \
	fuzz-smoke erlang oracle oracle-fixtures model miri miri-smoke mutants ci

all: check test

## What is wrong without running anything: format, lints, features, docs.
check: fmt lint features fence doc

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

## Each library alone, so that no other turns on a feature for it: with none, its own, and all.
features:
	for library in $(LIBRARIES); do \
		$(CARGO) check --quiet -p $$library --no-default-features || exit 1; \
		$(CARGO) check --quiet -p $$library || exit 1; \
		$(CARGO) check --quiet -p $$library --all-features || exit 1; \
	done

## The machine has no runtime: neither tokio nor std.
fence:
	$(CARGO) check --quiet -p ash-core --no-default-features
	! $(CARGO) tree -p ash-core --no-default-features -e normal --prefix none | grep -E '^(tokio|slog)'
	grep -q '^#!\[no_std\]' ash-core/src/lib.rs

test:
	$(CARGO) test --workspace

## Every example runs to its end by itself.
examples:
	$(CARGO) build --quiet -p examples --examples --features tls
	for example in $(EXAMPLES); do \
		echo "example: $$example"; \
		$(CARGO) run --quiet -p examples --features tls --example $$example || exit 1; \
	done

## Crates outside the workspace, as users have them.
consumers:
	for manifest in $(CONSUMERS); do \
		$(CARGO) test --quiet --manifest-path $$manifest --target-dir target/consumers || exit 1; \
	done

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --workspace --no-deps --all-features

## The figures, beside bare tokio, against the budgets.
bench:
	$(CARGO) run --release -p benches --bin figures -- --json target/figures.json
	$(CARGO) run --release -p benches --features net --bin net

## The same programs for a moment: they build, and they run.
bench-smoke:
	$(CARGO) run --quiet --release -p benches --bin figures -- --children 1000 --pairs 1

## Bytes from peers, for long: an hour for each target, or FUZZ_SECONDS. Needs nightly and
## cargo-fuzz.
FUZZ_SECONDS ?= 3600
FUZZ_TARGETS := $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))
fuzz:
	for target in $(FUZZ_TARGETS); do \
		$(CARGO) +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 || exit 1; \
	done

## The same for a moment.
fuzz-smoke:
	$(MAKE) fuzz FUZZ_SECONDS=30

erlang:
	@command -v escript >/dev/null || { \
		echo "the oracle is OTP's own supervisor, and Erlang is not installed: there is no \`escript' (Debian: apt-get install erlang-base)" >&2; \
		exit 1; \
	}

## OTP's own supervisor as the oracle (docs/otp.md): drives it afresh through the scripted histories
## and through as many new random ones, and compares ours with what it does.
HISTORIES ?= 2000
SEED ?=
ORACLE := ash-core/tests/oracle
RECORDED := target/oracle/recorded
oracle: erlang
	rm -rf $(RECORDED)
	mkdir -p $(RECORDED)/scripted
	for file in $(notdir $(wildcard $(ORACLE)/scripted/*.txt)); do \
		escript tools/oracle.escript record $(ORACLE)/scripted/$$file $(RECORDED)/scripted/$$file || exit 1; \
	done
	seed=$(or $(SEED),$$(date +%s)); \
	echo "$(HISTORIES) random histories from seed $$seed"; \
	escript tools/oracle.escript generate $(HISTORIES) $$seed $(RECORDED)/random.txt
	ASH_ORACLE=$(CURDIR)/$(RECORDED) $(CARGO) test -p ash-core --test oracle -- --nocapture

## Records the histories that are in the repository again.
oracle-fixtures: erlang
	for file in $(ORACLE)/scripted/*.txt; do \
		escript tools/oracle.escript record $$file $$file || exit 1; \
	done
	escript tools/oracle.escript generate 400 1 $(ORACLE)/random.txt

## More histories against the reference model than `test` plays: MODEL_CASES of each kind.
MODEL_CASES ?= 20000
model:
	PROPTEST_CASES=$(MODEL_CASES) $(CARGO) test --profile model -p ash-core --no-default-features --test model

## The machine's tests under Miri, with MIRI_CASES random histories of each kind. Needs nightly
## with its components miri and rust-src.
MIRI_CASES ?= 4
MIRI_TESTS ?= --lib --test machine --test model
miri:
	MIRIFLAGS=-Zmiri-env-forward=PROPTEST_CASES PROPTEST_CASES=$(MIRI_CASES) \
		$(CARGO) +nightly miri test -p ash-core --no-default-features $(MIRI_TESTS)

## The same in two minutes: the rules that move most, without random histories.
miri-smoke:
	$(CARGO) +nightly miri test -p ash-core --no-default-features --lib --test machine -- \
		tests:: group:: restart:: start:: stop::

## What the machine's tests do not notice when it is changed: docs/mutants.md. Needs cargo-mutants.
mutants:
	PROPTEST_CASES=50 PROPTEST_MAX_SHRINK_ITERS=1 $(CARGO) mutants --output target $(MUTANTS)

ci: check test examples consumers bench-smoke
