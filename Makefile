# Everything that CI does, and what one does by hand. `.ci/run` calls these targets, so the two
# cannot drift apart.

CARGO ?= cargo
LIBRARIES := $(patsubst %/Cargo.toml,%,$(wildcard ash-*/Cargo.toml))
EXAMPLES := $(patsubst examples/%.rs,%,$(wildcard examples/*.rs))
CONSUMERS := $(wildcard consumers/*/Cargo.toml)

.PHONY: all check fmt lint features fence test examples consumers doc bench bench-smoke fuzz fuzz-smoke ci

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

## Bytes from peers, for long: an hour for each target, or FUZZ_SECONDS. Needs a nightly toolchain;
## cargo-fuzz is installed under target/tools. What is found lies in fuzz/artifacts afterwards.
FUZZ_SECONDS ?= 3600
FUZZ_TARGETS := $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))
CARGO_FUZZ := PATH="$(CURDIR)/target/tools/bin:$$PATH" $(CARGO) +nightly fuzz
fuzz:
	tools/install.sh cargo-fuzz
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target && \
		$(CARGO_FUZZ) run --fuzz-dir fuzz $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -rss_limit_mb=1024 \
			-malloc_limit_mb=16 -print_final_stats=1 || exit 1; \
	done

## The same for a moment.
fuzz-smoke:
	$(MAKE) fuzz FUZZ_SECONDS=20

ci: check test examples consumers bench-smoke
