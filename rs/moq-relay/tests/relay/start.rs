//! Starting the relay: every way to name its configuration, and what it says when that is wrong.

use crate::process::{OPEN, Relay, command, file, folder, run};

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_file_may_be_named_in_three_ways() {
    for flag in [None, Some("--config"), Some("--file")] {
        let relay = Relay::spawn(command().args(flag).arg(file(OPEN)));

        assert_eq!(relay.get("/").status, 200, "{flag:?}");
    }
}

#[test]
fn flags_alone_are_enough() {
    let flags =
        ["--listen", "127.0.0.1:0", "--web-http-listen", "127.0.0.1:0", "--tls-generate", "localhost", "--auth-public", ""];
    let relay = Relay::spawn(command().args(flags));

    assert_eq!(relay.get("/announced").status, 200);
}

#[test]
fn a_flag_goes_over_the_environment_and_that_over_the_file() {
    let relay = Relay::spawn(command().arg(file(OPEN)).env("MOQ_AUTH_PUBLIC", "env"));
    assert_eq!((relay.get("/announced").status, relay.get("/announced/other").status), (200, 401));

    let relay = Relay::spawn(command().arg(file(OPEN)).env("MOQ_AUTH_PUBLIC", "env").args(["--auth-public", "flag"]));
    assert_eq!((relay.get("/announced/flag").status, relay.get("/announced/env").status), (200, 401));
}

#[test]
fn the_development_configuration_starts() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dev/relay.toml");
    let relay = Relay::spawn(command().arg(config).args(["--listen", "[::]:0", "--web-http-listen", "[::]:0"]));

    assert_eq!(relay.get("/certificate.sha256").body.len(), 64);
}

#[test]
fn checking_a_good_configuration_says_so_and_ends() {
    let checked = run(&["--check", file(OPEN).to_str().unwrap()]);

    assert!(checked.status.success(), "{}", stderr(&checked));
}

#[test]
fn version_and_help_are_told() {
    let version = run(&["--version"]);
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("moq-relay {}\n", env!("CARGO_PKG_VERSION")));

    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for part in ["relay.toml", "--tls-generate", "MOQ_SERVER_BIND", "[web.http]", "Examples"] {
        assert!(help.contains(part), "{part}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let rows: &[&[&str]] =
        &[&["--colour"], &["--log-level", "loud"], &["one.toml", "two.toml"], &["--config", "a", "--file", "b"]];
    for args in rows {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

/// The text of a file, and what the error says about it.
const BAD: &[(&str, &[&str])] = &[
    ("", &["no certificate", "nobody could come in", "moq-relay --listen '[::]:4443'"]),
    ("[server]\nlissen = \"[::]:1\"", &[".toml:2:1: `server.lissen`: there is no such key"]),
    ("[server]\nlisten = 4443", &[".toml:2:10: `server.bind`:", "integer `4443`, expected a string"]),
    ("[auth]\npublic = \"a/*/b\"", &[".toml:2:10: `auth.public`:", "only a `**` at its end"]),
    ("[auth]\npublic = \"../a\"", &[".toml:2:10: `auth.public`:"]),
    ("[auth]\npublic = [\"a\", 2]", &[".toml:2:16: `auth.public`:", "integer `2`"]),
    ("[server\n", &[".toml:1:8: this is no TOML"]),
    ("[server]\ntls.cert = \"/nonexistent.pem\"\ntls.key = \"/nonexistent.key\"\n[auth]\npublic = \"\"", &["/nonexistent.pem"]),
];

#[test]
fn a_bad_file_is_explained_and_ends_with_1() {
    for (text, said) in BAD {
        let path = file(text);
        for args in [&["--check", path.to_str().unwrap()][..], &[path.to_str().unwrap()]] {
            let output = run(args);
            assert_eq!(output.status.code(), Some(1), "{text}");
            for part in *said {
                assert!(stderr(&output).contains(part), "{text}\nis answered with\n{}\nand not {part}", stderr(&output));
            }
        }
    }
}

#[test]
fn a_bad_key_is_named_and_ends_with_1() {
    let folder = folder();
    std::fs::write(folder.join("broken.jwk"), "{").unwrap();
    let rows = [
        ("key = \"/nonexistent/k.jwk\"".to_owned(), "/nonexistent/k.jwk: No such file"),
        ("key_dir = \"/nonexistent\"".to_owned(), "/nonexistent: No such file"),
        (format!("keys = [{:?}]", folder.join("broken.jwk")), "broken.jwk: not a JSON Web Key"),
        (format!("key_dir = {folder:?}"), "broken.jwk: not a JSON Web Key"),
        (format!("public = \"\"\nrevoked = {:?}", folder.join("broken.jwk")), "broken.jwk: line 1"),
    ];
    for (auth, said) in rows {
        let path = file(&OPEN.replace("public = \"\"", &auth));
        for args in [&["--check", path.to_str().unwrap()][..], &[path.to_str().unwrap()]] {
            let output = run(args);
            assert_eq!(output.status.code(), Some(1), "{auth}");
            assert!(stderr(&output).contains(said), "{auth}\nis answered with\n{}\nand not {said}", stderr(&output));
        }
    }
}

#[test]
fn a_private_key_will_do_and_a_warning_says_that_it_is_too_much() {
    let (folder, key) = (folder(), moq_token::Key::generate(moq_token::Algorithm::ES256, None, None).unwrap());
    let path = folder.join("private.jwk");
    std::fs::write(&path, key.to_base64url().as_str()).unwrap();
    let relay = Relay::start(&OPEN.replace("public = \"\"", &format!("key = {path:?}")));

    for said in ["private.jwk holds a private key", "private.jwk holds a secret that others"] {
        assert!(relay.log().contains(said), "{}", relay.log());
    }
    let token = key.sign(&crate::auth::claims("")).unwrap();
    assert_eq!(relay.get(&format!("/announced?jwt={token}")).status, 200);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = run(&["/nonexistent/relay.toml"]);

    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "Error: cannot read /nonexistent/relay.toml: No such file or directory (os error 2)\n");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let relay = Relay::start(OPEN);
    let taken = relay.http().to_string();
    let config = OPEN.replace("[web.http]\nlisten = \"127.0.0.1:0\"", &format!("[web.http]\nlisten = \"{taken}\""));

    let output = run(&[file(&config).to_str().unwrap()]);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&taken), "{}", stderr(&output));
}

#[test]
fn logs_are_for_people_or_for_programs() {
    let mut relay = Relay::start(OPEN);
    relay.signal("TERM");
    relay.wait();
    assert!(relay.log().lines().all(|line| !line.starts_with('{')), "{}", relay.log());

    let mut relay = Relay::spawn(command().arg(file(OPEN)).args(["--log-format", "json"]));
    relay.signal("TERM");
    relay.wait();
    assert!(relay.log().lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{}", relay.log());
}

#[test]
fn the_log_level_is_a_key_and_rust_log_goes_over_it() {
    let noisy = |command: &mut std::process::Command| {
        let mut relay = Relay::spawn(command);
        relay.signal("TERM");
        relay.wait();
        relay.log().contains("DEBUG")
    };
    let config = file(&format!("[log]\nlevel = \"debug\"\n{OPEN}"));

    assert!(noisy(command().arg(&config)));
    assert!(!noisy(command().arg(&config).args(["--log-level", "info"])));
    assert!(!noisy(command().arg(&config).env("RUST_LOG", "info")));
}
