//! The fuzzer's bodies on a corpus: the vectors, what is near them, and bytes at random.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use proptest::{collection::vec, prelude::*};
use serde_json::Value;

/// Runs every body, with every version and small type in front of messages.
fn run(bytes: &[u8]) {
    bodies::legacy(bytes);
    bodies::frames(bytes);
    bodies::heads(bytes);
    bodies::paths(bytes);
    for version in 0..6 {
        for kind in 0..4 {
            bodies::messages(&[&[version, kind], bytes].concat());
        }
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The bytes of every vector, and its body wherever it may begin.
fn seeds() -> Vec<Vec<u8>> {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors/moq-lite.json")).unwrap();
    let wires = vectors.iter().map(|vector| unhex(vector["hex"].as_str().unwrap()));
    wires.flat_map(|wire| (0..wire.len().min(4)).map(move |start| wire[start..].to_vec())).collect()
}

#[test]
fn the_vectors_and_their_truncations_break_nothing() {
    for seed in seeds() {
        for end in 0..=seed.len() {
            run(&seed[..end]);
        }
    }
}

#[test]
fn vectors_with_one_byte_changed_break_nothing() {
    for seed in seeds() {
        for at in 0..seed.len() {
            for byte in [0x00, 0x01, 0x21, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff] {
                let mut changed = seed.clone();
                changed[at] = byte;
                run(&changed);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_bytes_can_panic_a_decoder(bytes in vec(any::<u8>(), 0..512)) {
        run(&bytes);
    }

    #[test]
    fn no_small_numbers_can_panic_a_decoder(bytes in vec(0..8u8, 0..64)) {
        run(&bytes);
    }

    #[test]
    fn no_text_can_panic_a_path(text in any::<String>(), slashes in "[/%.2efFcC5\\\\a]{0,40}") {
        bodies::paths(text.as_bytes());
        bodies::paths(slashes.as_bytes());
    }
}
