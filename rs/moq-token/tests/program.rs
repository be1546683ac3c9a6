//! The program, from the outside: command lines as guides and scripts have them, run by a shell as they are written.

#![allow(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod shell;

use std::{fs, os::unix::fs::PermissionsExt};

use moq_token::{Algorithm, Key, KeySet, Policy, Revoked, Verifier};

use crate::shell::Shell;

/// A time that guides took for the future, and one that is.
const PAST: (&str, &str) = ("1735689600", "4102444800");

#[test]
fn a_cluster_token_as_the_relay_guide_makes_it() {
    let shell = Shell::new("relay-setup");
    shell.run("moq-token --key secret.jwk generate").succeeds();

    shell.run(include_str!("commands/relay-setup.sh")).succeeds();

    let claims = shell.run("moq-token --key secret.jwk verify < cluster.jwt").json();
    assert_eq!((&claims["root"], &claims["cluster"]), (&"".into(), &true.into()));
    assert_eq!((&claims["put"], &claims["get"]), (&vec![""].into(), &vec![""].into()));
}

#[test]
fn secrets_as_the_deployment_guide_makes_them() {
    let shell = Shell::new("deployment");

    let output = shell.run(include_str!("commands/deployment.sh")).succeeds();

    assert_eq!(output, "", "nothing on standard output but what was redirected");
    assert_eq!(shell.mode("secrets/root.jwk"), 0o600);
    let cluster = shell.run("moq-token --key secrets/root.jwk verify < secrets/cluster.jwt").json();
    assert_eq!((&cluster["cluster"], &cluster["put"]), (&true.into(), &vec![""].into()));
    let demo = shell.run("moq-token --key secrets/root.jwk verify < secrets/demo-pub.jwt").json();
    assert_eq!((&demo["root"], &demo["put"], demo.get("get")), (&"demo".into(), &vec![""].into(), None));
}

#[test]
fn a_users_token_as_the_deployment_guide_makes_it() {
    let shell = Shell::new("deployment-example");

    shell.run(&include_str!("commands/deployment-example.sh").replace(PAST.0, PAST.1)).succeeds();

    let claims = shell.run("moq-token verify --key root.jwk < alice.jwt").json();
    assert_eq!(claims["exp"].to_string(), PAST.1);
    let answer = shell
        .run("moq-token --key root.jwk explain --url https://relay.example.com/rooms/meeting-123?jwt=$(cat alice.jwt)")
        .json();
    assert_eq!((&answer["publish"], &answer["subscribe"]), (&vec!["alice"].into(), &vec![""].into()));
}

#[test]
fn a_time_that_is_past_is_refused_with_what_was_understood() {
    let shell = Shell::new("past");
    shell.run("moq-token --key root.jwk generate").succeeds();

    for (time, understood) in [(PAST.0, "2025-01-01T00:00:00Z"), ("3600", "1970-01-01T01:00:00Z")] {
        let error = shell.run(&format!("moq-token --key root.jwk sign --publish '' --expires {time}")).fails(1);
        assert!(error.contains(understood) && error.contains("--expires 1h"), "{error}");
    }
}

#[test]
fn a_key_redirected_into_itself_survives() {
    let shell = Shell::new("readme");

    shell.run(include_str!("commands/readme.sh")).succeeds();

    for name in ["secrets/root.jwk", "secrets/again.jwk"] {
        Key::from_text(&shell.read(name)).unwrap();
        assert_eq!(shell.mode(name), 0o600);
    }
}

/// Forms of the command line that are or were in use: what to run in a folder with `root.jwk`, `p.jwk` and `alice.jwt`.
const FORMS: &[&str] = &[
    // A key in its place, written by the command or by the shell.
    "moq-token --key new.jwk generate",
    "moq-token --key new.jwk generate --algorithm HS512 --id k1",
    "moq-token --key new.jwk generate --algorithm ES256 --public new-public.jwk",
    "moq-token generate > new.jwk",
    "moq-token generate --key new.jwk",
    "moq-token generate --out new.jwk",
    "moq-token generate --out - > new.jwk",
    "moq-token generate --algorithm EdDSA --id k1 --out new.jwk --public -",
    "moq-token generate --algorithm PS256 --out new.jwk --public new-public.jwk",
    "moq-token generate --id new --out-dir .",
    "mkdir p; moq-token generate --algorithm ES384 --id new --out-dir . --public-dir p; test -f p/new.jwk",
    "moq-token generate --root '' --out new.jwk",
    "moq-token generate --root demo --out new.jwk",
    "moq-token generate --root demo --publish alice --publish bob --subscribe '' --out new.jwk",
    "moq-token generate --root demo --publish alice bob --subscribe '' --out new.jwk",
    "moq-token generate --base64 > new.jwk",
    "moq-token generate --json --out new.jwk",
    "moq-token generate --guest demo --guest-subscribe a --guest-publish b --out new.jwk",
    "touch new.jwk; moq-token generate --out new.jwk",
    "cp root.jwk new.jwk; moq-token generate --out new.jwk --force",
    "moq-token public --key p.jwk > new.jwk",
    "moq-token --key p.jwk public --out new.jwk",
    // Tokens, to be judged by either key.
    "moq-token sign --key root.jwk --root demo --publish '' > new.jwt",
    "moq-token --key root.jwk sign --root demo --publish alice --publish bob --subscribe '' > new.jwt",
    "moq-token sign --key root.jwk --publish alice bob --subscribe '' > new.jwt",
    "moq-token sign --key root.jwk --publish='' --expires 4102444800 --issued 1735689600 > new.jwt",
    "moq-token sign --key root.jwk --publish '' --expires 1h > new.jwt",
    "moq-token sign --key root.jwk --publish '' --expires '1day 12h' > new.jwt",
    "moq-token sign --key root.jwk --publish '' --expires 2099-12-31T23:59:59Z > new.jwt",
    "moq-token sign --key root.jwk --publish '' --expires 2099-12-31T23:59:59+02:00 --not-before 2026-01-01T00:00:00Z > new.jwt",
    "moq-token sign --key root.jwk --publish '' --jti t1 --subject alice --issuer me > new.jwt",
    "moq-token sign --key p.jwk --cluster --publish '' --subscribe '' > new.jwt",
    "moq-token sign --key - --publish '' < root.jwk > new.jwt",
    "cat root.jwk | moq-token --key - sign --publish '' > new.jwt",
    // Judging them.
    "moq-token verify --key root.jwk < alice.jwt",
    "moq-token verify --key root.jwk --in alice.jwt",
    "moq-token verify --key root.jwk --in - < alice.jwt",
    "moq-token verify --key - --in alice.jwt < root.jwk",
    "cat alice.jwt | moq-token --key root.jwk verify",
    "moq-token verify --key p.jwk --key root.jwk < alice.jwt",
    "moq-token inspect < alice.jwt",
    "moq-token inspect --in alice.jwt",
    "moq-token inspect --key p.jwk",
    "moq-token explain --key root.jwk --url https://h/rooms --in alice.jwt",
    "moq-token explain --key root.jwk --url \"https://h/?x=1&jwt=$(cat alice.jwt)\"",
    "moq-token set --private root.jwk p.jwk > keys.json; moq-token verify --key keys.json < alice.jwt",
    "moq-token set p.jwk --out keys.json; moq-token --key keys.json inspect",
    "moq-token --key p.jwk --key p.jwk set",
    "moq-token --help",
    "moq-token sign --help",
    "moq-token --version",
];

#[test]
fn every_form_of_the_command_line_works() {
    for (index, form) in FORMS.iter().enumerate() {
        let shell = Shell::new(&format!("form-{index}"));
        shell.prepare();

        shell.run(form).succeeds();

        if shell.exists("new.jwk") {
            Key::from_text(&shell.read("new.jwk")).unwrap_or_else(|error| panic!("{form}: {error}"));
        }
        if shell.exists("new.jwt") {
            let keys = ["root.jwk", "p.jwk"].map(|name| Key::from_text(&shell.read(name)).unwrap());
            let verifier = Verifier::new(KeySet::try_from_iter(keys).unwrap(), Policy::default(), Revoked::default());
            let token = shell.read("new.jwt");
            let verdict = verifier.verify(token.trim_end(), std::time::SystemTime::now());
            verdict.unwrap_or_else(|error| panic!("{form}: {error}"));
            assert!(token.ends_with('\n') && token.lines().count() == 1, "{form}");
        }
    }
}

/// What to run, its exit status, and what is said about it.
const MISTAKES: &[(&str, i32, &str)] = &[
    ("moq-token", 2, "Usage"),
    ("moq-token forge", 2, "unrecognized subcommand"),
    ("moq-token sign --publish ''", 2, "--key PATH"),
    ("moq-token verify < alice.jwt", 2, "--key PATH"),
    ("moq-token --key root.jwk --key p.jwk sign --publish ''", 2, "one --key"),
    ("moq-token verify --key - < alice.jwt", 2, "both"),
    ("moq-token generate --algorithm none", 2, "possible values"),
    ("moq-token generate --id a/b", 2, "letters"),
    ("moq-token generate --key a.jwk --out b.jwk", 2, "--key already says"),
    ("moq-token generate --out a.jwk --out-dir .", 2, "cannot be used with"),
    ("moq-token generate --algorithm ES256 --public -", 2, "both halves"),
    ("moq-token generate --public a.jwk --out b.jwk; status=$?; test ! -e b.jwk || exit 9; exit $status", 2, "no public half"),
    ("moq-token sign --key root.jwk --publish '' --expires soon", 2, "not a time"),
    ("moq-token sign --key root.jwk --publish '' --expires 1735689600000", 2, "milliseconds"),
    ("moq-token generate --out root.jwk", 1, "--force"),
    ("moq-token --key root.jwk generate", 1, "--force"),
    ("moq-token sign --key root.jwk --root demo", 1, "allow nothing"),
    ("moq-token sign --key root.jwk --root a/../b --publish ''", 1, "a/../b"),
    ("moq-token sign --key root.jwk --publish '%2e%2e'", 1, "%2e%2e"),
    ("moq-token sign --key public.jwk --publish ''", 1, "no private part"),
    ("moq-token sign --key scoped.jwk --publish ''", 1, "scope"),
    ("moq-token sign --key none.jwk --publish ''", 1, "none.jwk"),
    ("moq-token sign --key alice.jwt --publish ''", 1, "reading the key"),
    ("moq-token sign --key root.jwk --publish '' --not-before 2h --expires 1h", 1, "--not-before"),
    ("moq-token public --key root.jwk", 1, "no public half"),
    ("moq-token set root.jwk", 1, "--private"),
    ("moq-token verify --key p.jwk < alice.jwt", 1, "wrong-algorithm"),
    ("moq-token verify --key other.jwk < alice.jwt", 1, "signature"),
    ("moq-token verify --key other.jwk --key p.jwk < alice.jwt", 1, "unknown-key"),
    ("echo a.b.c | moq-token verify --key root.jwk", 1, "malformed"),
    ("moq-token verify --key root.jwk < /dev/null", 1, "malformed"),
    ("head -c 100000 /dev/zero | tr '\\0' x | moq-token verify --key root.jwk", 1, "larger than"),
    ("moq-token inspect < root.jwk", 1, "three parts"),
    ("moq-token explain --key root.jwk --url https://h/hall --in alice.jwt", 1, "elsewhere"),
    ("moq-token explain --key root.jwk --url https://h/rooms", 1, "no-token"),
    ("moq-token explain --key root.jwk --url https://h/rooms?jwt=", 1, "no-token"),
    ("moq-token explain --key other.jwk --url https://h/rooms --in alice.jwt", 1, "signature"),
    ("moq-token explain --key root.jwk --url rooms --in alice.jwt", 2, "URL"),
];

#[test]
fn every_mistake_is_told_with_its_status() {
    let shell = Shell::new("mistakes");
    shell.prepare();
    shell.run("moq-token generate --algorithm EdDSA --out e.jwk --public public.jwk").succeeds();
    shell.run("moq-token generate --root demo --subscribe '' --out scoped.jwk").succeeds();
    shell.run("moq-token generate --out other.jwk").succeeds();
    let before = shell.read("root.jwk");

    for (command, status, words) in MISTAKES {
        let error = shell.run(command).fails(*status);
        assert!(error.contains(words), "{command}: {error}");
    }
    assert_eq!(shell.read("root.jwk"), before);
}

#[test]
fn what_is_refused_prints_nothing_that_could_be_taken_for_claims() {
    let shell = Shell::new("refused");
    shell.prepare();

    let refused = shell.run("moq-token verify --key p.jwk < alice.jwt");

    assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
}

#[test]
fn no_secret_is_printed_but_where_it_was_asked_for() {
    for algorithm in Algorithm::ALL {
        let shell = Shell::new(&format!("secret-{algorithm}"));
        let made = shell.run(&format!("moq-token --key k.jwk generate --algorithm {algorithm}"));
        let key: serde_json::Value = serde_json::from_str(&Key::from_text(&shell.read("k.jwk")).unwrap().to_json()).unwrap();
        let secrets: Vec<_> = ["k", "d", "p", "q", "dp", "dq", "qi"].iter().filter_map(|name| key[name].as_str()).collect();
        assert!(!secrets.is_empty());

        let mut said = made.stdout.clone() + &made.stderr;
        for command in [
            "moq-token --key k.jwk sign --publish '' > k.jwt",
            "moq-token --key k.jwk verify < k.jwt",
            "moq-token inspect --key k.jwk",
            "moq-token public --key k.jwk --json",
            "moq-token set k.jwk",
            "moq-token explain --key k.jwk --url https://h/ --in k.jwt",
            "sed 's/a/%/g' k.jwk > broken.jwk; moq-token sign --key broken.jwk --publish ''",
            "cp k.jwk k.txt; moq-token verify --key k.jwk < k.txt",
        ] {
            let output = shell.run(command);
            said += &(output.stdout + &output.stderr);
        }

        assert_eq!(made.stdout, "");
        let text = shell.read("k.jwk");
        assert!(secrets.iter().all(|secret| !said.contains(secret)) && !said.contains(text.trim()), "{algorithm}: {said}");
    }
}

#[test]
fn private_files_are_their_owners_and_public_ones_are_not() {
    let shell = Shell::new("modes");
    shell.run("umask 022; moq-token generate --algorithm ES256 --out p.jwk --public public.jwk").succeeds();
    shell.run("umask 022; moq-token set p.jwk --out keys.json").succeeds();
    shell.run("umask 022; moq-token set p.jwk --private --out secret-keys.json").succeeds();

    let modes = ["p.jwk", "public.jwk", "keys.json", "secret-keys.json"].map(|name| shell.mode(name));
    assert_eq!(modes, [0o600, 0o644, 0o644, 0o600]);

    fs::set_permissions(shell.path("p.jwk"), fs::Permissions::from_mode(0o644)).unwrap();
    let warned = shell.run("moq-token sign --key p.jwk --publish ''");
    assert!(warned.status == 0 && warned.stderr.contains("others can read"), "{}", warned.stderr);
}

#[test]
fn every_algorithm_signs_and_verifies_through_files() {
    for algorithm in Algorithm::ALL {
        for json in ["", "--json"] {
            let shell = Shell::new(&format!("files-{algorithm}{json}"));
            shell.run(&format!("moq-token generate --algorithm {algorithm} {json} --out k.jwk")).succeeds();
            shell.run("moq-token sign --key k.jwk --root demo --subscribe '' --expires 1h > k.jwt").succeeds();
            assert_eq!(shell.read("k.jwk").starts_with('{'), !json.is_empty());

            let key = match algorithm.name().starts_with("HS") {
                true => "k.jwk",
                false => {
                    shell.run(&format!("moq-token public --key k.jwk {json} --out public.jwk")).succeeds();
                    "public.jwk"
                }
            };
            let claims = shell.run(&format!("moq-token verify --key {key} < k.jwt")).json();
            assert_eq!(claims["root"], "demo", "{algorithm} {json}");
        }
    }
}
