//! Addresses that show bad tokens again and again, and a log that stays readable meanwhile.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::{collections::BTreeMap, fs};

use crate::{
    auth::{claims, config, key},
    process::{Relay, folder},
};

/// A relay that trusts a key, with this in `[auth]`; and a good token.
fn relay(auth: &str) -> (Relay, String) {
    let (key, path) = (key("k"), folder().join("k.jwk"));
    fs::write(&path, key.public().unwrap().to_json().as_str()).unwrap();
    (Relay::start(&config(&format!("key = {path:?}\npublic = \"open\"\n{auth}"))), key.sign(&claims("demo")).unwrap())
}

/// The status of a page, and what the peer is told.
fn knock(relay: &Relay, path: &str, token: &str) -> (u16, String) {
    let answer = relay.get(&format!("/announced{path}?jwt={token}"));
    (answer.status, answer.body)
}

#[test]
fn ten_bad_tokens_bring_a_minute_without_a_hearing_for_all_but_good_ones() {
    let (relay, good) = relay("exempt = []");
    let refused = (401, "unauthorized\n".to_owned());
    for _ in 0..10 {
        assert_eq!(knock(&relay, "/demo", "bad"), refused);
    }
    relay.logs("too many bad tokens");

    assert_eq!(knock(&relay, "/demo", "bad"), refused, "and is told no more than before");
    relay.logs("code=penalty");
    assert_eq!(knock(&relay, "/demo", &good).0, 200, "somebody else in the same house");
    assert_eq!(knock(&relay, "/open", "").0, 200, "what is public is no login");
}

#[test]
fn a_penalty_ends() {
    let (relay, _) = relay("exempt = []\nfail_per_ip = \"2/min\"\nfail_penalty = \"1s\"");
    let penalties = || relay.log().matches("too many bad tokens").count();
    knock(&relay, "/demo", "bad");
    knock(&relay, "/demo", "bad");
    relay.logs("too many bad tokens");
    assert_eq!(penalties(), 1);

    std::thread::sleep(std::time::Duration::from_millis(1100));
    knock(&relay, "/demo", "bad");
    knock(&relay, "/demo", "bad");
    let deadline = std::time::Instant::now() + crate::process::PATIENCE;
    while penalties() < 2 {
        assert!(std::time::Instant::now() < deadline, "{}", relay.log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn this_machine_is_exempt_and_so_is_whom_the_operator_names() {
    for auth in ["", "exempt = [\"127.0.0.1\"]", "exempt = []\nfail_per_ip = \"none\""] {
        let (relay, _) = relay(auth);
        for _ in 0..30 {
            knock(&relay, "/demo", "bad");
        }
        assert!(!relay.log().contains("too many bad tokens"), "{auth}");
        assert!(!relay.log().contains("code=penalty"), "{auth}");
    }
}

#[test]
fn what_strangers_make_the_relay_log_has_a_bound() {
    let (relay, good) = relay("");
    let targets = ["bad", "a.b.c", &format!("{good}x"), "", &"x".repeat(9000)];
    let started = std::time::Instant::now();
    for number in 0..1500 {
        let _ = relay.try_ask("GET", &format!("/announced/demo?jwt={}", targets[number % targets.len()]), &[]);
    }
    println!("1500 requests in {:?}", started.elapsed());

    let mut by_second = BTreeMap::<String, usize>::new();
    for line in relay.log().lines() {
        *by_second.entry(line.chars().take("2026-01-01T00:00:00".len()).collect()).or_default() += 1;
    }
    let most = by_second.values().max().copied().unwrap_or_default();
    println!("at most {most} lines in a second");
    assert!(most < 200, "{by_second:?}");
    assert!(relay.log().contains("suppressed="), "{}", relay.log());
}
