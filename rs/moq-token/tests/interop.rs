//! Keys and tokens carried to the npm package `@moq/token` and back. `dev/interop-token` holds the other half.
//!
//! Ignored unless asked for, since it needs Node and `npm ci --prefix dev/interop-token`. `dev/test` asks, and so does
//! `cargo test -p moq-token --test interop -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use moq_token::{Algorithm, Claims, Key, KeySet, Policy, Revoked, Verified, Verifier};
use serde_json::Value;

const OTHER_HALF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dev/interop-token");

/// Lets the package do `deed` in a folder of the test's own.
fn package(deed: &str, prepare: impl FnOnce(&Path)) -> (PathBuf, String) {
    let installed = Path::new(OTHER_HALF).join("node_modules").exists();
    assert!(installed, "the other side is missing; to get it: npm ci --prefix dev/interop-token");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-{deed}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    prepare(&folder);
    let output = Command::new("node").current_dir(OTHER_HALF).arg("interop.js").arg(deed).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, String::from_utf8(output.stdout).unwrap())
}

fn verify(key: &Key, token: &str) -> Verified {
    let keys = KeySet::try_from_iter([key.clone()]).unwrap();
    let verifier = Verifier::new(keys, Policy::default(), Revoked::default());
    verifier.verify(token, SystemTime::now()).unwrap_or_else(|refused| panic!("{key:?}: {refused}"))
}

/// What a token says, as few words as tell.
fn said(claims: &Claims) -> (String, Vec<String>, Vec<String>) {
    let texts = |paths: &[moq_proto::Path]| paths.iter().map(ToString::to_string).collect();
    (claims.root.to_string(), texts(&claims.publish), texts(&claims.subscribe))
}

#[test]
#[ignore = "needs the npm package"]
fn the_npm_package_takes_our_keys_and_tokens_and_signs_with_our_keys() {
    let claims = Claims {
        root: "demo".parse().unwrap(),
        publish: vec!["alice".parse().unwrap()],
        subscribe: vec![Default::default()],
        expires: Some(SystemTime::now() + Duration::from_secs(3600)),
        issued: Some(SystemTime::now()),
        cluster: true,
        id: Some("t1".to_owned()),
        ..Claims::default()
    };
    let keys = Algorithm::ALL.map(|algorithm| Key::generate(algorithm, Some("k1".parse().unwrap()), None).unwrap());
    let mut files = 0;
    let put = |folder: &Path| {
        let mut put = |name: String, text: &str, token: &str| {
            fs::write(folder.join(format!("{name}.jwk")), text).unwrap();
            fs::write(folder.join(format!("{name}.jwt")), token).unwrap();
            files += 1;
        };
        for key in &keys {
            let (algorithm, token) = (key.algorithm(), key.sign(&claims).unwrap());
            put(format!("{algorithm}-json"), &key.to_json(), &token);
            put(format!("{algorithm}-base64url"), &key.to_base64url(), &token);
            if let Some(public) = key.public() {
                put(format!("{algorithm}-json-public"), &public.to_json(), &token);
                put(format!("{algorithm}-base64url-public"), &public.to_base64url(), &token);
            }
        }
    };

    let (folder, verdicts) = package("judge", put);

    let verdicts: Vec<Value> = verdicts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), files);
    for verdict in verdicts {
        let theirs = &verdict["claims"];
        assert_eq!(
            (&theirs["root"], &theirs["put"], &theirs["get"]),
            (&"demo".into(), &vec!["alice"].into(), &vec![""].into()),
            "{verdict}"
        );
    }
    for key in &keys {
        for spelling in ["json", "base64url"] {
            let token = fs::read_to_string(folder.join(format!("{}-{spelling}.theirs", key.algorithm()))).unwrap();
            let verified = verify(&key.public().unwrap_or_else(|| key.clone()), &token);
            assert_eq!(said(verified.claims()), ("demo".into(), vec!["alice".into()], vec!["".into()]));
        }
    }
}

#[test]
#[ignore = "needs the npm package"]
fn we_take_the_npm_packages_keys_and_tokens() {
    let (folder, _) = package("make", |_| {});

    for algorithm in Algorithm::ALL {
        let read = |kind: &str| fs::read_to_string(folder.join(format!("{algorithm}.{kind}")));
        let token = read("jwt").unwrap();
        let spellings = ["json", "base64url", "public"].map(|kind| read(kind).ok());
        for text in spellings.into_iter().flatten() {
            let key = Key::from_text(&text).unwrap();
            let verified = verify(&key, &token);
            assert_eq!(said(verified.claims()), ("demo".into(), vec!["alice".into(), "bob".into()], vec!["".into()]));
            assert!(verified.claims().expires.is_some() && verified.claims().issued.is_some());
        }
    }
}
