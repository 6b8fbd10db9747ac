# Short names for the commands of CONTRIBUTING.md; `just` lists them.

default:
    @just --list

# Run the server with the default configuration.
serve:
    cargo run --release -- serve

# All tests that this machine can run.
test:
    cargo test

# Format, then lint.
lint:
    cargo fmt
    cargo clippy --all-targets -- -D warnings

# The API documentation, in a browser.
doc:
    cargo doc --no-deps --open

# tidegate beside its rivals, with a tenth of the bytes.
bench:
    cargo bench --bench peers -- --small

# Remove checks one at a time; a test must miss each. Arguments are prefixes of mutations.
mutations *PREFIX:
    tests/mutations.py {{ PREFIX }}

# Everything that must hold, as root on a fresh Debian.
ci:
    .ci/run
