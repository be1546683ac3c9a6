# Shortcuts. Everything that matters works without `just`: `dev/up` and `dev/test` are plain shell.

_default:
    @just --list --unsorted

# A relay on localhost:4443 and a live broadcast to look at
up:
    dev/up

# Every test; `just test --install` also gets what is missing
test *args:
    dev/test {{ args }}

# The tests of one crate: `just crate moq-proto`
crate name *args:
    cargo test -p {{ name }} {{ args }}

# The JavaScript clients in Node, against the relay built last
node:
    npm run --silent --prefix dev/clients test:node

# The JavaScript clients in Chromium, against the relay built last
browser:
    npm run --silent --prefix dev/clients test:browser

# Lays the code out as `dev/test` wants it
fmt:
    cargo fmt --all

# The documentation of every crate, warnings refused
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# Licences, bans and sources of what is depended on (cargo install cargo-deny)
deny:
    cargo deny check bans licenses sources
