# Everything that CI does, and what one does by hand. `.ci/run` calls these targets, so the two
# cannot drift apart.

CARGO ?= cargo
LIBRARIES := $(patsubst %/Cargo.toml,%,$(wildcard ash-*/Cargo.toml))
EXAMPLES := $(patsubst examples/%.rs,%,$(wildcard examples/*.rs))
CONSUMERS := $(wildcard consumers/*/Cargo.toml)

.PHONY: all check fmt lint features fence test examples consumers doc bench peers growth instructions page bench-smoke fuzz fuzz-smoke ci

all: check test

## What is wrong without running anything: format, lints, features, docs.
check: fmt lint features fence doc

fmt:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path benches/peers/Cargo.toml --check

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

## The figures beside bare tokio, against the budgets; every system beside every other; calls from
## another process beside tarpc and a raw echo. Takes long, and wants a machine of its own.
PEERS := --quiet --release --manifest-path benches/peers/Cargo.toml --target-dir target/peers
bench: peers
	$(CARGO) run --quiet --release -p benches --bin figures -- --json target/figures.json
	$(CARGO) run $(PEERS) --bin compare -- --json target/compare.json
	$(CARGO) run --quiet --release -p benches --features net --bin net > target/net.txt
	cat target/net.txt

## The programs of all systems, built apart from the workspace.
peers:
	$(CARGO) build $(PEERS)

## What things cost beside a million children, ten thousand supervisors, a thousand levels.
growth:
	$(CARGO) run --quiet --release -p benches --bin growth -- --json target/growth.json

## Instructions of the hot paths, as callgrind counts them.
instructions:
	$(CARGO) build --quiet --release -p benches --bins
	target/release/instructions --json target/instructions.json

## The tables of docs/benchmarks.md and its pictures, from what `bench`, `growth` and `instructions`
## left in target/.
PLOTS := target/plots/bin/python
page: $(PLOTS)
	$(PLOTS) benches/page.py docs/benchmarks.md target/compare.json target/growth.json target/net.txt target/instructions.json
	for figures in target/compare.json target/growth.json; do \
		test ! -e $$figures || $(PLOTS) benches/plot.py $$figures docs || exit 1; \
	done

$(PLOTS): benches/requirements.txt
	python3 -m venv target/plots
	target/plots/bin/pip install --quiet --requirement benches/requirements.txt

## The same programs for a moment: they build, and they run.
bench-smoke: peers
	$(CARGO) run --quiet --release -p benches --bin figures -- --children 1000 --pairs 1
	$(CARGO) run --quiet --release -p benches --bin growth -- --most 1000
	$(CARGO) bench --quiet -p benches --bench hot -- --test
	$(CARGO) test $(PEERS) --lib
	$(CARGO) run $(PEERS) --bin compare -- --children 200 --pairs 1 --limit 60

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

ci: check test examples consumers bench-smoke
