# What CI does, and what one does by hand. `.ci/run` calls these targets, so the two cannot drift
# apart.

CARGO ?= cargo
LIBRARIES := $(patsubst %/Cargo.toml,%,$(wildcard ash-*/Cargo.toml))
EXAMPLES := $(patsubst examples/%.rs,%,$(wildcard examples/*.rs))
CONSUMERS := $(wildcard consumers/*/Cargo.toml)

.PHONY: all check fmt lint features package fence test observed examples consumers doc bench peers growth \
	partitioned instructions page bench-smoke fuzz fuzz-smoke erlang oracle oracle-fixtures model miri \
	miri-smoke mutants soak soak-smoke sim sim-smoke loom netns ci

all: check test

## What is wrong without running anything: format, lints, features, docs.
check: fmt lint features fence doc

fmt:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path benches/peers/Cargo.toml --check

lint:
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

## Each library alone, so that no other turns on a feature for it: with none, its own, and all;
## and with each of those by which it is observed, and nothing else.
features:
	for library in $(LIBRARIES); do \
		$(CARGO) check --quiet -p $$library --no-default-features || exit 1; \
		$(CARGO) check --quiet -p $$library || exit 1; \
		$(CARGO) check --quiet -p $$library --all-features || exit 1; \
		for feature in metrics tracing; do \
			! grep -q "^$$feature = " $$library/Cargo.toml || \
				$(CARGO) check --quiet -p $$library --no-default-features --features $$feature || exit 1; \
		done; \
	done

## What would be published builds from what is in it alone.
package:
	$(CARGO) package --quiet --workspace --exclude benches --exclude examples --allow-dirty

## The machine has no runtime: neither tokio nor std. Who does not observe pays for no observer.
fence:
	$(CARGO) check --quiet -p ash-core --no-default-features
	! $(CARGO) tree -p ash-core --no-default-features -e normal --prefix none | grep -E '^(tokio|slog)'
	! $(CARGO) tree -p ash-flare -e normal --prefix none | grep -E '^(metrics|tracing)'
	grep -q '^#!\[no_std\]' ash-core/src/lib.rs

test: observed
	$(CARGO) test --workspace

## The features that nothing in the workspace turns on: who observes is told the right things, and
## everything goes as it does without. And as the optimiser makes it, which may change who yields to
## whom. The network once more with all of its features: TLS is tested with them only.
observed:
	$(CARGO) test --profile checked -p ash-core --features metrics,tracing --lib --test machine --test runtime
	$(CARGO) test -p ash-net --all-features --lib --test net

## Every example runs to its end by itself.
examples:
	$(CARGO) build --quiet -p examples --examples --all-features
	for example in $(EXAMPLES); do \
		echo "example: $$example"; \
		$(CARGO) run --quiet -p examples --all-features --example $$example || exit 1; \
	done

## Crates outside the workspace, as users have them.
consumers:
	for manifest in $(CONSUMERS); do \
		$(CARGO) test --quiet --manifest-path $$manifest --target-dir target/consumers || exit 1; \
	done

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --workspace --no-deps --all-features
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet -p ash-core --no-deps --no-default-features

## The figures beside bare tokio, against the budgets; every system beside every other; calls from
## another process beside tarpc and a raw echo. Takes long, and wants a machine of its own.
PEERS := --quiet --release --manifest-path benches/peers/Cargo.toml --target-dir target/peers
bench: peers
	$(CARGO) run --quiet --release -p benches --bin figures > target/figures.txt
	cat target/figures.txt
	$(CARGO) run $(PEERS) --bin compare -- --json target/compare.json
	$(CARGO) run --quiet --release -p benches --features net --bin net > target/net.txt
	cat target/net.txt

## The programs of all systems, built apart from the workspace.
peers:
	$(CARGO) build $(PEERS)

## What things cost beside a million children, ten thousand supervisors, a thousand levels.
growth:
	$(CARGO) run --quiet --release -p benches --bin growth -- --json target/growth.json

## Where one supervisor is the bottleneck, and what several in its place gain on two cores.
partitioned:
	$(CARGO) build --quiet --release -p benches --bins
	target/release/partitioned > target/partitioned.txt
	cat target/partitioned.txt

## Instructions of the hot paths, as callgrind counts them.
instructions:
	$(CARGO) build --quiet --release -p benches --bins
	target/release/instructions --json target/instructions.json

## The tables of docs/benchmarks.md and its pictures, from what `bench`, `growth`, `partitioned` and
## `instructions` left in target/.
PLOTS := target/plots/bin/python
page: $(PLOTS)
	$(PLOTS) benches/page.py docs/benchmarks.md target/figures.txt target/compare.json target/growth.json target/net.txt target/partitioned.txt target/instructions.json
	for figures in target/compare.json target/growth.json; do \
		test ! -e $$figures || $(PLOTS) benches/plot.py $$figures docs || exit 1; \
	done

$(PLOTS): benches/requirements.txt
	python3 -m venv target/plots
	target/plots/bin/pip install --quiet --requirement benches/requirements.txt

## The same programs for a moment: they build, and they run. Without the optimiser, which would take
## most of the time.
bench-smoke: PEERS := $(filter-out --release,$(PEERS))
bench-smoke:
	$(CARGO) run --quiet -p benches --bin figures -- --children 1000 --pairs 1
	$(CARGO) run --quiet -p benches --bin growth -- --most 1000
	$(CARGO) run --quiet -p benches --bin partitioned -- --count 1000 --rounds 1
	$(CARGO) test --quiet -p benches --bench hot
	$(CARGO) test $(PEERS) --lib
	$(CARGO) build $(PEERS) --bins
	$(CARGO) run $(PEERS) --bin compare -- --children 200 --pairs 1 --limit 60

## A large tree in a storm, with real threads, sockets and time (docs/simulation.md): SOAK_SECONDS of
## it, from SOAK_SEED or any. Before that, whether its checks can fail. With few arenas of malloc, so
## that memory which grows is ours.
SOAK_SECONDS ?= 600
SOAK_SEED ?=
soak:
	MALLOC_ARENA_MAX=2 SOAK_SECONDS=$(SOAK_SECONDS) $(if $(SOAK_SEED),SOAK_SEED=$(SOAK_SEED)) $(CARGO) test --profile checked \
		-p ash-flare --test soak -- --ignored --nocapture --test-threads=1

soak-smoke:
	$(MAKE) soak SOAK_SECONDS=30

## Servers, clients and links in a simulated network: SIM_SEEDS seeds, from SIM_FROM on.
SIM_FROM ?= 0
SIM_SEEDS ?= 5000
sim:
	SIM_FROM=$(SIM_FROM) SIM_SEEDS=$(SIM_SEEDS) $(CARGO) test --profile checked \
		-p ash-net --features simulation --test simulation -- --nocapture

sim-smoke:
	$(MAKE) sim SIM_SEEDS=300

## Every order of events between a supervisor and the task of a worker.
loom:
	RUSTFLAGS="--cfg ash_loom" $(CARGO) test --release --target-dir target/loom \
		-p ash-core --lib loom -- --nocapture

## A link between two network namespaces goes down. Needs root and `ip` (Debian: iproute2).
netns:
	$(CARGO) test -p ash-net --test net -- --ignored --exact processes::a_link_that_goes_down_is_noticed_within_the_keepalive_budget

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
	$(MAKE) fuzz FUZZ_SECONDS=10

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
	PROPTEST_CASES=$(MODEL_CASES) $(CARGO) test --profile checked -p ash-core --no-default-features --test model

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

ci:
	.ci/run
