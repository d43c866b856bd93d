#!/usr/bin/env bash
# Installs a cargo tool under target/tools, in the one version that this repository uses, unless it
# is there already: `tools/install.sh cargo-fuzz`.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=${1:?which tool?}
case $tool in
    cargo-fuzz) version=0.13.2 ;;
    *) echo "no version is known for $tool" >&2; exit 1 ;;
esac

root=$PWD/target/tools
# Cargo's own record: the same version is not built again, another one is replaced.
if ! grep -qs "^\"$tool $version " "$root/.crates.toml"; then
    # It only calls others, and so is not worth the optimiser's time.
    cargo install "$tool" --version "$version" --locked --debug --root "$root" \
        --target-dir "$root/build" --quiet
    rm -rf "$root/build"
fi
