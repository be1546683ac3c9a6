//! What holds for all claims, all tokens and all bytes.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use moq_proto::Path;
use moq_token::{Algorithm, Claims, Key, KeySet, Policy, Revoked, Scope, Verifier};
use proptest::{collection::vec, option, prelude::*};

const NOW: u64 = 1_800_000_000;

/// The same key in all cases; what holds for one holds for all.
static KEY: LazyLock<Key> = LazyLock::new(|| {
    let json = r#"{"kty":"oct","alg":"HS256","kid":"k1","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;
    Key::from_text(json).unwrap_or_else(|error| panic!("{error}"))
});

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = KeySet::try_from_iter([KEY.clone()]).unwrap_or_default();
    Verifier::new(keys, Policy::default(), Revoked::default())
});

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Paths with few names, so that they meet; some of the names want escaping.
fn any_path() -> impl Strategy<Value = Path> {
    let name = prop::sample::select(vec!["a", "b", "ab", "50%", "ä", "x y", "%2e", "*"]);
    vec(name, 0..4).prop_map(|names| names.join("/").parse().unwrap_or_default())
}

fn any_paths() -> impl Strategy<Value = Vec<Path>> {
    vec(any_path(), 0..3)
}

prop_compose! {
    fn any_claims()(
        root in any_path(),
        publish in any_paths(),
        subscribe in any_paths(),
        times in [option::of(0..253_402_300_799_u64), option::of(0..NOW), option::of(0..NOW)],
        cluster: bool,
        texts in [option::of(any::<String>()), option::of(any::<String>()), option::of(any::<String>())],
        audience in vec(any::<String>(), 0..3),
    ) -> Claims {
        let [expires, issued, not_before] = times.map(|time| time.map(at));
        let [id, subject, issuer] = texts;
        Claims { root, publish, subscribe, expires, issued, not_before, cluster, id, subject, issuer, audience }
    }
}

proptest! {
    #[test]
    fn claims_survive_their_own_json(claims in any_claims()) {
        prop_assert_eq!(Claims::from_json(&claims.to_json()), Ok(claims));
    }

    #[test]
    fn what_is_signed_is_what_is_verified(claims in any_claims()) {
        prop_assume!(!claims.is_useless());
        let claims = Claims { audience: vec![], expires: claims.expires.map(|_| at(NOW + 1)), ..claims };
        prop_assume!(KEY.sign(&claims).is_ok());

        let verified = VERIFIER.verify(&KEY.sign(&claims).unwrap_or_default(), at(NOW));

        prop_assert_eq!(verified.map(|verified| verified.claims().clone()), Ok(claims));
    }

    #[test]
    fn no_character_of_a_token_can_be_changed(place: prop::sample::Index, other in "[ -~]") {
        let claims = Claims { subscribe: vec![Path::root()], ..Claims::default() };
        let token = KEY.sign(&claims).unwrap_or_default();
        let place = place.index(token.len());
        prop_assume!(token[place..=place] != other);

        let changed = format!("{}{other}{}", &token[..place], &token[place + 1..]);

        prop_assert!(VERIFIER.verify(&token, at(NOW)).is_ok());
        prop_assert!(VERIFIER.verify(&changed, at(NOW)).is_err());
    }

    #[test]
    fn no_text_can_panic_a_reader(text in any::<String>(), parts in vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        let _ = VERIFIER.verify(&text, at(NOW));
        let _ = VERIFIER.verify(&parts.join("."), at(NOW));
        let _ = KeySet::from_text(&text);
        let _ = KeySet::from_text(&parts.concat());
        let _ = Claims::from_json(&text);
        let _ = Revoked::from_text(&text);
    }

    /// The rule of scopes once more, by trying every path there is.
    #[test]
    fn a_scope_covers_what_it_says(claims in any_claims(), root in any_path(), publish in any_paths(), subscribe in any_paths()) {
        let claims = Claims { cluster: false, ..claims };
        let scope = Scope { root, publish, subscribe };
        let covers = |root: &Path, prefixes: &[Path], path: &Path| {
            prefixes.iter().any(|prefix| path.as_str() == join(root, prefix) || path.as_str().starts_with(&below(root, prefix)))
        };
        // A prefix stands for itself and a path below it that nobody else names.
        let probes = |prefixes: &[Path]| -> Vec<Path> {
            let whole = prefixes.iter().map(|prefix| join(&claims.root, prefix));
            whole.flat_map(|path| [format!("{path}/unheard-of"), path]).filter_map(|path| path.parse().ok()).collect()
        };
        let within = probes(&claims.publish).iter().all(|path| covers(&scope.root, &scope.publish, path))
            && probes(&claims.subscribe).iter().all(|path| covers(&scope.root, &scope.subscribe, path));

        prop_assert_eq!(scope.exceeded_by(&claims).is_none(), within);
    }
}

fn join(root: &Path, prefix: &Path) -> String {
    root.segments().chain(prefix.segments()).collect::<Vec<_>>().join("/")
}

/// What the paths below begin with.
fn below(root: &Path, prefix: &Path) -> String {
    match join(root, prefix) {
        whole if whole.is_empty() => whole,
        whole => whole + "/",
    }
}

#[test]
fn every_algorithm_signs_what_it_verifies() {
    for algorithm in Algorithm::ALL {
        let key = Key::generate(algorithm, None, None).unwrap();
        let verifier = Verifier::new(KeySet::try_from_iter([key.clone()]).unwrap(), Policy::default(), Revoked::default());
        for subject in ["", "alice", "ä\u{1f511}\0\""] {
            let claims = Claims { subject: Some(subject.to_owned()), publish: vec![Path::root()], ..Claims::default() };
            let token = key.sign(&claims).unwrap();
            assert_eq!(verifier.verify(&token, at(NOW)).unwrap().claims(), &claims, "{algorithm}");
        }
    }
}
