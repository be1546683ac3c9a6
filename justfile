# Shortcuts. Everything that matters works without `just`: `dev/up` and `dev/test` are plain shell.

_default:
    @just --list --unsorted

# A relay on localhost:4443, and a page that publishes through it and watches
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

# Pictures in Chromium, watched for so many seconds each; from 20 on, none may be skipped, which takes an idle machine
media seconds="60":
    MEDIA_SECONDS={{ seconds }} npm run --silent --prefix dev/clients test:media

# The clients that others run, in the releases of the last year, against this relay: `just interop packages` takes npm alone, minutes;
# the media programs need ffmpeg, and are built first, for long
interop *what:
    dev/interop/run {{ what }}

# Lays the code out as `dev/test` wants it
fmt:
    cargo fmt --all

# The documentation of every crate, private items too; broken links are refused
doc:
    RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --keep-going

# Licences, bans and sources of what is depended on (cargo install cargo-deny)
deny:
    cargo deny check bans licenses sources

# Feeds one family of readers with bytes nobody wrote: messages, legacy, frames, heads or paths (cargo install cargo-fuzz)
[working-directory: "rs/moq-proto"]
fuzz family="messages" seconds="60":
    # The sanitizers' flags ask for nightly; the pinned toolchain has them too.
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{ family }} -- -max_total_time={{ seconds }}

# What `test` does in short, for longer: a million request targets at every entrance, a hundred thousand trees of tokens and names
soak:
    MOQ_TARGETS=1000000 MOQ_CASES=100000 cargo test -p moq-relay --bin moq-relay -- --nocapture entrances doors

# Playback over bad networks for longer, with its figures: delay, stalls, frames lost, and what the network did
badnet seconds="60":
    MOQ_BADNET_SECONDS={{ seconds }} cargo test -p moq-relay --test badnet -- --nocapture

# Changes one thing at a time in the rooms that decide who may do what; a test beside them has to notice (cargo install cargo-mutants)
mutants *args:
    {{ mutate }} -p moq-proto -p moq-token --cargo-arg=--lib -o target/mutants/token {{ args }}
    MOQ_TARGETS=4000 {{ mutate }} -p moq-relay --cargo-arg=--bins -o target/mutants/relay {{ args }}

# What they depend on is built once, for both and for the next time.
mutate := "CARGO_TARGET_DIR=" + justfile_directory() / "target/mutants/build" + " nice -n 10 cargo mutants -j1"
